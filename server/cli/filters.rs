//! Which events and from where, on the command line: the same flags for whatever reads events.

use clap::{Arg, ArgAction, ArgMatches, Command};

use super::Failure;
use crate::proto::subscribe_events_request::Start;
use crate::proto::{EventCard, EventFilter, StartPosition};

/// Adds the flags.
pub(super) fn add_to(command: Command, from: &'static str) -> Command {
    let many = |name: &'static str, value: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(value).action(ArgAction::Append).help(help)
    };
    command
        .arg(many(
            "connection",
            "NAME",
            "Only events of this connection (id or nickname); can be repeated, as all of these",
        ))
        .arg(many("type", "TYPE", "Only this event type, or prefix such as user.lifecycle.*"))
        .arg(many("card", "CARD", "Only events of this card, such as UserCreated"))
        .arg(many("app", "NAME", "Only events about the application of this name"))
        .arg(many("app-instance", "ID", "Only events about this application instance"))
        .arg(many("actor", "ID", "Only what this user or app has done"))
        .arg(many("target", "ID", "Only what was done to this user, group or app"))
        .arg(
            Arg::new("from")
                .long("from")
                .value_name("PLACE")
                .default_value(from)
                .help("Where to start: earliest, latest, a cursor, or a time such as 2026-01-31T12:00:00Z"),
        )
}

/// Where to start.
pub(super) fn start(matches: &ArgMatches) -> Start {
    match matches.get_one::<String>("from").map(String::as_str) {
        None | Some("latest") => Start::Position(StartPosition::Latest.into()),
        Some("earliest") => Start::Position(StartPosition::Earliest.into()),
        Some(place) => match place.parse() {
            Ok(time) => Start::StartTime(time),
            Err(_) => Start::AfterCursor(place.to_owned()),
        },
    }
}

/// Which events to take.
pub(super) fn filter(matches: &ArgMatches) -> Result<EventFilter, Failure> {
    let texts = |name: &str| matches.get_many::<String>(name).into_iter().flatten().cloned().collect::<Vec<_>>();
    let cards = texts("card").iter().map(|name| card(name)).collect::<Result<_, _>>()?;
    Ok(EventFilter {
        connections: texts("connection"),
        cards,
        event_types: texts("type"),
        application_names: texts("app"),
        application_instance_ids: texts("app-instance"),
        actor_ids: texts("actor"),
        target_ids: texts("target"),
    })
}

/// `UserCreated`, `user-created` and `USER_CREATED` are the same card.
fn card(name: &str) -> Result<i32, Failure> {
    let plain = |text: &str| text.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
    let wanted = plain(name);
    let cards = (1..).map_while(|number| EventCard::try_from(number).ok());
    let names: Vec<_> = cards.map(|card| (card, card.as_str_name().trim_start_matches("EVENT_CARD_"))).collect();
    match names.iter().find(|(_, own)| plain(own) == wanted) {
        Some((card, _)) => Ok((*card).into()),
        None => {
            let known =
                names.iter().map(|(_, own)| own.to_lowercase().replace('_', "-")).collect::<Vec<_>>().join(", ");
            Err(Failure::usage(format!("--card {name:?} is no card; there are {known}")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_card_is_named_in_any_style_and_an_unknown_one_shows_all() {
        for name in ["UserAddedToGroup", "user-added-to-group", "USER_ADDED_TO_GROUP"] {
            assert_eq!(card(name).expect("a card"), i32::from(EventCard::UserAddedToGroup));
        }
        assert!(card("Nonsense").expect_err("none").message.contains("custom-webhook"));
    }
}
