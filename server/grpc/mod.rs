//! The gRPC face: one file per service, a line per RPC, and the one place that makes a status.

mod applications;
mod connections;
mod consumers;
mod custom_api;
mod event_hooks;
mod event_types;
mod events;
mod groups;
pub mod status;
mod unary;
mod users;

pub use self::applications::Applications;
pub use self::connections::ConnectionApi;
pub use self::custom_api::CustomApi;
pub use self::event_hooks::EventHookApi;
pub use self::events::{EventApi, ResolveConnection};
pub use self::groups::Groups;
pub use self::unary::Unary;
pub use self::users::Users;

/// Implements a service of cards: a line per RPC.
macro_rules! card_service {
    ($service:ident for $server:ident { $($rpc:ident: $card:ty,)* }) => {
        #[tonic::async_trait]
        impl $service for $server {
            $(async fn $rpc(
                &self,
                request: tonic::Request<<$card as crate::cards::Card>::Request>,
            ) -> Result<tonic::Response<<$card as crate::cards::Card>::Response>, tonic::Status> {
                self.0.run::<$card>(request).await
            })*
        }
    };
}
use card_service;
