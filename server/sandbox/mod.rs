//! An emulated Okta org, written from Okta's public API description; it imports nothing of the connector.
