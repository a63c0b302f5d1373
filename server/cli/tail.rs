//! `okta-connector tail`: follows events in a terminal, and comes back by itself after a break.

use std::io::Write;
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use clap::{Arg, ArgAction, ArgMatches, Command};

use super::client::{MAX_ANSWER, connect, server_arg};
use super::follow::{Follower, Sink};
use super::json::ToJson;
use super::{Failure, filters};
use crate::proto::event::Card;
use crate::proto::event_service_client::EventServiceClient;
use crate::proto::subscribe_events_request::Start;
use crate::proto::{Event, EventEntity, SubscribeEventsRequest};

const FIRST_DELAY: Duration = Duration::from_millis(250);
const LONGEST_DELAY: Duration = Duration::from_secs(10);
/// What a service that events are forwarded to may take for one.
const FORWARD_TIMEOUT: Duration = Duration::from_secs(10);

pub(super) fn command() -> Command {
    filters::add_to(Command::new("tail").about("Follow events in a terminal").arg(server_arg()), "latest")
        .arg(
            Arg::new("consumer")
                .long("consumer")
                .value_name("NAME")
                .help("Go on where this consumer left off, and commit what has been shown, instead of --from"),
        )
        .arg(
            Arg::new("groups")
                .long("groups")
                .action(ArgAction::SetTrue)
                .help("Look up the groups of the users of membership events; shown with --json"),
        )
        .arg(Arg::new("json").long("json").action(ArgAction::SetTrue).help("One JSON object a line, with its cursor"))
        .arg(
            Arg::new("forward-to")
                .long("forward-to")
                .value_name("URL")
                .help("POST each event as JSON to this URL, in order, trying again until it is taken"),
        )
}

pub(super) async fn run(matches: &ArgMatches) -> Result<(), Failure> {
    let consumer = matches.get_one::<String>("consumer").cloned().map(Start::Consumer);
    let request = SubscribeEventsRequest {
        start: Some(consumer.unwrap_or_else(|| filters::start(matches))),
        filters: vec![filters::filter(matches)?],
        enrich_user_groups: matches.get_flag("groups"),
        ..Default::default()
    };
    let mut tail = Tail { json: matches.get_flag("json"), to_json: ToJson::new()?, forward: forward(matches)? };
    let client = EventServiceClient::new(connect(matches).await?).max_decoding_message_size(MAX_ANSWER);
    let interrupted = crate::shutdown::on_signal().map_err(|error| Failure::failed(error.to_string()))?;
    Follower::new(client, request).run(&mut tail, interrupted.cancelled()).await
}

fn forward(matches: &ArgMatches) -> Result<Option<Forward>, Failure> {
    let Some(url) = matches.get_one::<String>("forward-to") else { return Ok(None) };
    let url = reqwest::Url::parse(url).map_err(|error| {
        Failure::usage(format!("--forward-to {url:?} is no URL ({error}); give http://127.0.0.1:3000/events"))
    })?;
    let client = reqwest::Client::builder().timeout(FORWARD_TIMEOUT).build();
    let client = client.map_err(|error| Failure::failed(format!("cannot make an HTTP client: {error}")))?;
    Ok(Some(Forward { client, url }))
}

struct Tail {
    json: bool,
    to_json: ToJson,
    forward: Option<Forward>,
}

struct Forward {
    client: reqwest::Client,
    url: reqwest::Url,
}

impl Sink for Tail {
    async fn event(&mut self, cursor: &str, event: &Event) -> Result<bool, Failure> {
        let json = || {
            let event = self.to_json.convert("Event", event)?;
            Ok::<_, Failure>(serde_json::json!({ "cursor": cursor, "event": event }))
        };
        if let Some(forward) = &self.forward {
            forward.send(&json()?.to_string()).await;
        }
        let line = if self.json { json()?.to_string() } else { readable(event) };
        let written = writeln!(anstream::stdout(), "{line}");
        written.map(|()| true).map_err(|error| Failure::failed(format!("cannot write to stdout: {error}")))
    }

    fn note(&mut self, text: &str) {
        note(text);
    }
}

impl Forward {
    /// Sends one event, again and again until it is taken: order is worth more than speed here.
    async fn send(&self, body: &str) {
        let mut delay = FIRST_DELAY;
        loop {
            let request = self.client.post(self.url.clone()).header("content-type", "application/json");
            match request.body(body.to_owned()).send().await {
                Ok(response) if response.status().is_success() => return,
                Ok(response) => note(&format!("{} answered {}, trying again", self.url, response.status())),
                Err(_) => note(&format!("{} does not answer, trying again", self.url)),
            }
            tokio::time::sleep(delay).await;
            delay = (delay * 2).min(LONGEST_DELAY);
        }
    }
}

fn note(text: &str) {
    let style = Style::new().dimmed();
    let _ = writeln!(anstream::stderr(), "{style}-- {text}{style:#}");
}

/// Time, card, who did what to whom.
fn readable(event: &Event) -> String {
    let (name, color) = label(event.card.as_ref());
    let time = event.published.map(|time| time.to_string()).unwrap_or_default();
    let clock = time.get(11..19).unwrap_or("--------");
    let (dim, strong, bold) = (Style::new().dimmed(), color.on_default(), Style::new().bold());
    let what = match event.card.as_ref().map(about) {
        Some(About { actor, object }) if !object.is_empty() => {
            format!("{bold}{object}{bold:#} {dim}by {actor}{dim:#}")
        }
        Some(About { actor, .. }) => format!("{dim}by {actor}{dim:#}"),
        None => String::new(),
    };
    let kind = if matches!(event.card, Some(Card::CustomWebhook(_))) { event.event_type.as_str() } else { name };
    format!("{dim}{clock}{dim:#}  {strong}{kind:<28}{strong:#}  {what}  {dim}{}{dim:#}", event.message)
}

struct About {
    actor: String,
    object: String,
}

fn label(card: Option<&Card>) -> (&'static str, AnsiColor) {
    match card {
        Some(Card::UserCreated(_)) => ("UserCreated", AnsiColor::Green),
        Some(Card::UserActivated(_)) => ("UserActivated", AnsiColor::Green),
        Some(Card::UserReactivated(_)) => ("UserReactivated", AnsiColor::Green),
        Some(Card::UserUnsuspended(_)) => ("UserUnsuspended", AnsiColor::Green),
        Some(Card::UserSuspended(_)) => ("UserSuspended", AnsiColor::Yellow),
        Some(Card::UserDeactivated(_)) => ("UserDeactivated", AnsiColor::Yellow),
        Some(Card::UserDeleted(_)) => ("UserDeleted", AnsiColor::Red),
        Some(Card::SuspiciousActivityReported(_)) => ("SuspiciousActivityReported", AnsiColor::Red),
        Some(Card::UserAddedToGroup(_)) => ("UserAddedToGroup", AnsiColor::Cyan),
        Some(Card::UserRemovedFromGroup(_)) => ("UserRemovedFromGroup", AnsiColor::Cyan),
        Some(Card::UserAssignedToApplication(_)) => ("UserAssignedToApplication", AnsiColor::Blue),
        Some(Card::UserUnassignedFromApplication(_)) => ("UserUnassignedFromApplication", AnsiColor::Blue),
        Some(Card::CustomWebhook(_)) => ("CustomWebhook", AnsiColor::Magenta),
        None => ("event", AnsiColor::White),
    }
}

fn about(card: &Card) -> About {
    let name = |entity: &Option<EventEntity>| match entity {
        Some(entity) if !entity.alternate_id.is_empty() && entity.alternate_id != "unknown" => {
            entity.alternate_id.clone()
        }
        Some(entity) => entity.display_name.clone(),
        None => "?".to_owned(),
    };
    let user = |admin, user| About { actor: name(admin), object: name(user) };
    let to = |admin, user, place| About { actor: name(admin), object: format!("{} → {}", name(user), name(place)) };
    match card {
        Card::UserActivated(card) => user(&card.admin, &card.okta_user),
        Card::UserCreated(card) => user(&card.admin, &card.okta_user),
        Card::UserDeactivated(card) => user(&card.admin, &card.okta_user),
        Card::UserDeleted(card) => user(&card.admin, &card.okta_user),
        Card::UserSuspended(card) => user(&card.admin, &card.okta_user),
        Card::UserUnsuspended(card) => user(&card.admin, &card.okta_user),
        Card::UserReactivated(card) => user(&card.admin, &card.okta_user),
        Card::UserAddedToGroup(card) => to(&card.admin, &card.okta_user, &card.group),
        Card::UserRemovedFromGroup(card) => to(&card.admin, &card.okta_user, &card.group),
        Card::UserAssignedToApplication(card) => to(&card.admin, &card.okta_user, &card.application),
        Card::UserUnassignedFromApplication(card) => to(&card.admin, &card.okta_user, &card.application),
        Card::SuspiciousActivityReported(card) => About { actor: card.email.clone(), object: String::new() },
        Card::CustomWebhook(card) => {
            let targets: Vec<String> = card.targets.iter().map(|target| target.display_name.clone()).collect();
            About { actor: name(&card.actor), object: targets.join(", ") }
        }
    }
}
