//! `CustomApiService`.

use super::{Unary, card_service};
use crate::cards::custom_api::CustomApiAction;
use crate::proto::server::custom_api_service_server::CustomApiService;

/// Serves `CustomApiService`.
#[derive(Debug)]
pub struct CustomApi(pub Unary);

card_service!(CustomApiService for CustomApi {
    custom_api_action: CustomApiAction,
});
