//! Messages as JSON, in the mapping that protobuf defines (<https://protobuf.dev/programming-guides/json/>): what grpcurl shows.

use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, SerializeOptions};

use super::Failure;
use crate::proto::DESCRIPTORS;

/// Turns messages of the API into JSON.
pub(super) struct ToJson(DescriptorPool);

impl ToJson {
    pub(super) fn new() -> Result<Self, Failure> {
        let pool = DescriptorPool::decode(DESCRIPTORS);
        pool.map(Self).map_err(|error| Failure::failed(format!("the API's description cannot be read: {error}")))
    }

    /// `message`, which is an `oktaconnector.v1.{name}`.
    pub(super) fn convert(&self, name: &str, message: &impl Message) -> Result<serde_json::Value, Failure> {
        let wrong = |error: String| Failure::failed(format!("{name} cannot be shown as JSON: {error}"));
        let descriptor = self
            .0
            .get_message_by_name(&format!("oktaconnector.v1.{name}"))
            .ok_or_else(|| wrong("it is not in the API".to_owned()))?;
        let message = DynamicMessage::decode(descriptor, message.encode_to_vec().as_slice())
            .map_err(|error| wrong(error.to_string()))?;
        message
            .serialize_with_options(serde_json::value::Serializer, &SerializeOptions::new())
            .map_err(|error| wrong(error.to_string()))
    }
}
