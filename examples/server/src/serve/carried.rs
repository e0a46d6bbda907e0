//! Flags of Prometheus that this server has no use for, so that command lines carry over. Each either does nothing and a
//! warning says what happens instead, or is refused with the reason, because the server would not be what was asked for.
//!
//! Source: `prometheus --help` of 2.42 and the command-line page of 3.14, hidden flags included.

use clap::{Arg, ArgAction, ArgMatches, Args, Command, Error, FromArgMatches};
use kymo_model::parse_duration;

use super::args::bytes;

/// A flag, the value it has where it is not given, and what becomes of it.
struct Flag {
    name: &'static str,
    kind: Kind,
    default: &'static str,
    fate: Fate,
}

/// What a flag takes.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    /// Nothing.
    Switch,
    Duration,
    Bytes,
    Number,
    Text,
}

enum Fate {
    /// It changes nothing: here is what holds instead.
    Ignored(&'static str),
    /// The server does not start: here is why.
    Refused(&'static str),
}

use Fate::{Ignored, Refused};
use Kind::{Bytes, Duration, Number, Switch, Text};

const fn flag(name: &'static str, kind: Kind, default: &'static str, fate: Fate) -> Flag {
    Flag { name, kind, default, fate }
}

const NO_AGENT: &str = "this server has no agent mode";
const NO_ALERTING: &str = "alerts are not sent to Alertmanagers yet";
const OWN_BLOCKS: &str =
    "blocks are merged where they overlap, compacted one at a time, and known without reloading";
const OWN_CHUNKS: &str = "chunks have up to 120 samples, and their files in a block up to 512 MiB";
const NO_CONSOLES: &str = "consoles are not served";
const NO_GO: &str = "there is no Go runtime to tune";
const NO_OTLP: &str = "OTLP is not received, and what senders push would be lost; use remote write";
const OWN_LOG: &str = "the write-ahead log has a format of its own";
const OWN_LOCK: &str = "the directory is always locked, by a lock that ends with the process";

const FLAGS: [Flag; 43] = [
    flag("agent", Switch, "false", Refused(NO_AGENT)),
    flag("storage.agent.path", Text, "data-agent/", Refused(NO_AGENT)),
    flag("storage.agent.wal-segment-size", Bytes, "0B", Refused(NO_AGENT)),
    flag("storage.agent.wal-compression", Switch, "true", Refused(NO_AGENT)),
    flag("storage.agent.wal-compression-type", Text, "snappy", Refused(NO_AGENT)),
    flag("storage.agent.wal-truncate-frequency", Duration, "0s", Refused(NO_AGENT)),
    flag("storage.agent.retention.min-time", Duration, "0s", Refused(NO_AGENT)),
    flag("storage.agent.retention.max-time", Duration, "0s", Refused(NO_AGENT)),
    flag("storage.agent.no-lockfile", Switch, "false", Refused(NO_AGENT)),
    flag("alertmanager.notification-queue-capacity", Number, "10000", Ignored(NO_ALERTING)),
    flag("alertmanager.notification-batch-size", Number, "256", Ignored(NO_ALERTING)),
    flag("alertmanager.drain-notification-queue-on-shutdown", Switch, "true", Ignored(NO_ALERTING)),
    flag("alertmanager.timeout", Text, "", Ignored(NO_ALERTING)),
    flag("rules.alert.resend-delay", Duration, "1m", Ignored(NO_ALERTING)),
    flag(
        "rules.max-concurrent-evals",
        Number,
        "4",
        Ignored("groups are evaluated at the same time, the rules of one in order"),
    ),
    flag("auto-gomaxprocs", Switch, "true", Ignored(NO_GO)),
    flag("auto-gomemlimit", Switch, "true", Ignored(NO_GO)),
    flag("auto-gomemlimit.ratio", Number, "0.9", Ignored(NO_GO)),
    flag("scrape.adjust-timestamps", Switch, "true", Ignored("scrapes are stamped with their planned time")),
    flag(
        "scrape.timestamp-tolerance",
        Duration,
        "2ms",
        Ignored("scrapes are stamped with their planned time"),
    ),
    flag(
        "scrape.discovery-reload-interval",
        Duration,
        "5s",
        Ignored("changed targets are taken over at once"),
    ),
    flag(
        "scrape.name-escaping-scheme",
        Text,
        "values",
        Ignored("metric_name_escaping_scheme of the configuration file decides"),
    ),
    flag("storage.remote.flush-deadline", Duration, "1m", Ignored("there is no remote write to flush")),
    flag("storage.tsdb.allow-overlapping-blocks", Switch, "true", Ignored(OWN_BLOCKS)),
    flag("storage.tsdb.allow-overlapping-compaction", Switch, "true", Ignored(OWN_BLOCKS)),
    flag("storage.tsdb.block-reload-interval", Duration, "1m", Ignored(OWN_BLOCKS)),
    flag("storage.tsdb.delay-compact-file.path", Text, "", Ignored(OWN_BLOCKS)),
    flag("storage.tsdb.delayed-compaction.max-percent", Number, "10", Ignored(OWN_BLOCKS)),
    flag(
        "storage.tsdb.head-chunks-write-queue-size",
        Number,
        "0",
        Ignored("chunks are written without a queue"),
    ),
    flag("storage.tsdb.max-block-chunk-segment-size", Bytes, "0B", Ignored(OWN_CHUNKS)),
    flag("storage.tsdb.samples-per-chunk", Number, "120", Ignored(OWN_CHUNKS)),
    flag("storage.tsdb.no-lockfile", Switch, "false", Ignored(OWN_LOCK)),
    flag("storage.tsdb.use-lockfile", Switch, "false", Ignored(OWN_LOCK)),
    flag("storage.tsdb.wal-compression", Switch, "true", Ignored(OWN_LOG)),
    flag("storage.tsdb.wal-compression-type", Text, "snappy", Ignored(OWN_LOG)),
    flag("storage.tsdb.wal-segment-size", Bytes, "0B", Ignored(OWN_LOG)),
    flag(
        "storage.tsdb.retention.percentage",
        Number,
        "0",
        Refused("retention by a part of the disk is not supported; use --storage.tsdb.retention.size"),
    ),
    flag("web.console.libraries", Text, "console_libraries", Ignored(NO_CONSOLES)),
    flag("web.console.templates", Text, "consoles", Ignored(NO_CONSOLES)),
    flag("web.local-assets", Text, "", Ignored("there are no pages with assets")),
    flag("web.user-assets", Text, "", Ignored("there are no pages with assets")),
    flag("web.enable-otlp-receiver", Switch, "false", Refused(NO_OTLP)),
    flag(
        "web.config.file",
        Text,
        "",
        Refused("this server speaks neither TLS nor authentication; put it behind a proxy that does"),
    ),
];

/// Switches of this server and their names in the code: off where they are not given, so that the opposite says nothing new.
const OWN_SWITCHES: [(&str, &str); 3] = [
    ("web.enable-admin-api", "enable_admin_api"),
    ("web.enable-lifecycle", "enable_lifecycle"),
    ("web.enable-remote-write-receiver", "enable_remote_write_receiver"),
];

/// Which of them were given, and with what.
#[derive(Clone, Debug, Default)]
pub(crate) struct CarriedFlags {
    /// As they stand in the table.
    given: Vec<(&'static str, String)>,
}

impl CarriedFlags {
    /// Warnings of those that change nothing; the error says which cannot be had.
    pub(crate) fn judge(&self) -> Result<Vec<String>, String> {
        let mut warnings = Vec::new();
        for (name, value) in &self.given {
            let flag = FLAGS.iter().find(|flag| flag.name == *name);
            match flag.map(|flag| &flag.fate) {
                // No file, no part, a switch that is off: nothing is asked for.
                Some(Refused(_)) if ["", "0", "false"].contains(&value.as_str()) => {}
                Some(Refused(why)) => return Err(format!("--{name}: {why}")),
                Some(Ignored(what)) => warnings.push(format!("--{name} has no effect: {what}")),
                None => {}
            }
        }
        Ok(warnings)
    }

    /// Every one with its value, for /api/v1/status/flags.
    pub(crate) fn values(&self) -> impl Iterator<Item = (&'static str, String)> + '_ {
        FLAGS.iter().filter(|flag| flag.name != "agent").map(|flag| {
            let given = self.given.iter().find(|(name, _)| *name == flag.name);
            (flag.name, given.map_or_else(|| flag.default.to_owned(), |(_, value)| value.clone()))
        })
    }
}

impl Args for CarriedFlags {
    fn augment_args(mut command: Command) -> Command {
        for flag in &FLAGS {
            let arg =
                Arg::new(flag.name).long(flag.name).help_heading("Flags of Prometheus without effect here");
            let arg = match (&flag.fate, flag.kind) {
                (Ignored(what), _) => arg.help(format!("Accepted: {what}")),
                (Refused(why), _) => arg.help(format!("Refused: {why}")),
            };
            command = command.arg(match flag.kind {
                Switch => arg.action(ArgAction::SetTrue),
                Duration => {
                    value(arg, "DURATION").value_parser(|text: &str| checked(text, parse_duration(text)))
                }
                Bytes => value(arg, "BYTES").value_parser(|text: &str| checked(text, bytes(text))),
                Number => value(arg, "NUMBER").value_parser(|text: &str| checked(text, text.parse::<f64>())),
                Text => value(arg, "TEXT"),
            });
            if flag.kind == Switch {
                // Prometheus has the opposite of every switch.
                let off = Arg::new(negated(flag.name)).long(negated(flag.name)).hide(true);
                command = command.arg(off.action(ArgAction::SetTrue).conflicts_with(flag.name));
            }
        }
        for (name, id) in OWN_SWITCHES {
            let off = Arg::new(negated(name)).long(negated(name)).hide(true);
            command = command.arg(off.action(ArgAction::SetTrue).conflicts_with(id));
        }
        command
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for CarriedFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<CarriedFlags, Error> {
        let mut flags = CarriedFlags::default();
        flags.update_from_arg_matches(matches)?;
        Ok(flags)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        self.given = FLAGS.iter().filter_map(|flag| Some((flag.name, given(flag, matches)?))).collect();
        Ok(())
    }
}

fn given(flag: &Flag, matches: &ArgMatches) -> Option<String> {
    match flag.kind {
        Switch if matches.get_flag(flag.name) => Some("true".to_owned()),
        Switch if matches.get_flag(&negated(flag.name)) => Some("false".to_owned()),
        Switch => None,
        _ => matches.get_one::<String>(flag.name).cloned(),
    }
}

fn value(arg: Arg, name: &'static str) -> Arg {
    arg.value_name(name).action(ArgAction::Set)
}

/// The text as it is, if it can be read.
fn checked<T, E: ToString>(text: &str, read: Result<T, E>) -> Result<String, String> {
    read.map(|_| text.to_owned()).map_err(|error| error.to_string())
}

fn negated(name: &str) -> String {
    format!("no-{name}")
}
