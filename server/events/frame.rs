//! One frame of an event stream, encoded when it is made: a live event is encoded once, however many streams carry it.

use bytes::{Buf, BufMut, Bytes};
use prost::Message;
use prost::encoding::{DecodeContext, WireType};

use crate::proto::subscribe_events_response::Frame as Kind;
use crate::proto::{Event, SubscribeEventsResponse};

/// A `SubscribeEventsResponse` in its wire form. Cloning shares the bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Frame(Bytes);

impl Frame {
    /// The event in it, if it has one.
    pub(super) fn event(&self) -> Option<Event> {
        let response = SubscribeEventsResponse::decode(self.0.clone()).ok()?;
        match response.frame? {
            Kind::Event(event) => Some(event),
            _ => None,
        }
    }

    /// Length in bytes.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

impl From<SubscribeEventsResponse> for Frame {
    fn from(response: SubscribeEventsResponse) -> Self {
        Self(response.encode_to_vec().into())
    }
}

/// Lets tonic's own codec send ready bytes. Frames are never decoded here: the server only sends them.
impl Message for Frame {
    fn encode_raw(&self, buf: &mut impl BufMut) {
        buf.put_slice(&self.0);
    }

    fn merge_field(
        &mut self,
        tag: u32,
        wire_type: WireType,
        buf: &mut impl Buf,
        ctx: DecodeContext,
    ) -> Result<(), prost::DecodeError> {
        prost::encoding::skip_field(wire_type, tag, buf, ctx)
    }

    fn encoded_len(&self) -> usize {
        self.0.len()
    }

    fn clear(&mut self) {
        self.0 = Bytes::new();
    }
}
