//! `kymo serve`: binds, opens, starts the loops, waits for signals, stops in order.

mod args;
mod configuration;
mod metrics;
mod process;
mod rules;
mod status;
mod targets;

use std::io::IsTerminal;
use std::process::ExitCode;
use std::sync::{Arc, RwLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use kymo_http::{Api, ApiLimits, Gate, ServeOptions};
use kymo_model::Timestamp;
use kymo_promql::{Engine, EngineOptions};
use kymo_remote::WriteReceiver;
use kymo_rules::GroupOptions;
use kymo_scrape::{ManagerOptions, ScrapeManager};
use kymo_tsdb::{Db, Options, SyncMode};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, oneshot};

pub(crate) use args::ServeArgs;
use args::{LogLevel, Sync};
use configuration::Loaded;
use rules::{RuleManager, RuleSetting};
use status::{ConfigState, Lifecycle, Order, Receiver, ServerStatus};
use targets::ScrapeView;

/// How often the database syncs, drops what is past retention, and cleans up.
const MAINTENANCE_INTERVAL: Duration = Duration::from_millis(500);

/// The wall clock.
fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(since.as_millis() as i64)
}

/// Runs the server until it is told to stop.
pub(crate) fn run(args: ServeArgs) -> ExitCode {
    let level = match args.log_level {
        LogLevel::Debug => tracing::Level::DEBUG,
        LogLevel::Info => tracing::Level::INFO,
        LogLevel::Warn => tracing::Level::WARN,
        LogLevel::Error => tracing::Level::ERROR,
    };
    tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .init();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().thread_name("kymo").build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&format!("cannot start threads: {error}")),
    };
    let outcome = runtime.block_on(serve(args));
    // Blocking work that was told to end and did not is not waited for.
    runtime.shutdown_timeout(Duration::from_secs(5));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => fail(&message),
    }
}

fn fail(message: &str) -> ExitCode {
    eprintln!("kymo serve: {message}");
    ExitCode::FAILURE
}

async fn serve(args: ServeArgs) -> Result<(), String> {
    let start = now();
    if args.console_templates.is_some() || args.console_libraries.is_some() {
        tracing::warn!(
            "--web.console.templates and --web.console.libraries have no effect: consoles are not served"
        );
    }
    let address = &args.listen_address;
    let listener = listen(address).await.map_err(|error| format!("cannot listen on {address}: {error}"))?;
    let bound =
        listener.local_addr().map_err(|error| format!("cannot listen on {address}: {error}"))?.to_string();
    let loaded = configuration::load(args.config_file.as_deref(), &bound)?;

    let gate = Gate::new();
    let (stop_http, http_stopped) = oneshot::channel::<()>();
    let options = ServeOptions { connections_max: args.max_connections, ..ServeOptions::default() };
    let http = tokio::spawn(kymo_http::serve(listener, gate.router(), options, async {
        // Also when the other end is gone: then there is nothing left to serve.
        let _ = http_stopped.await;
    }));
    tracing::info!(address = bound, "listening");

    let db = open(&args, &loaded).await?;
    let server = Server::new(args, start, db, bound);
    let (orders, mut inbox) = mpsc::unbounded_channel();
    server.apply(loaded).await;
    gate.open(kymo_http::router(server.api(orders.clone())));
    tracing::info!("server is ready to receive web requests");

    let signals = listen_to_signals(orders).map_err(|error| format!("cannot listen to signals: {error}"))?;
    let maintenance = server
        .db
        .spawn_maintenance(MAINTENANCE_INTERVAL, |outcome| {
            if let Err(error) = outcome {
                tracing::error!(%error, "maintaining the database");
            }
        })
        .map_err(|error| format!("cannot start the maintenance thread: {error}"))?;
    while let Some(Order::Reload(answer)) = inbox.recv().await {
        // Who asked may have gone; the log has it too.
        let _ = answer.send(server.reload().await);
    }
    tracing::info!("stopping");
    signals.abort();
    server.scrape.manager.shutdown().await;
    server.rules.stop().await;
    // The listener may have ended by itself; then there is nobody to tell.
    let _ = stop_http.send(());
    if let Err(error) = http.await {
        tracing::error!(%error, "the HTTP server failed");
    }
    let db = Arc::clone(&server.db);
    let close = move || {
        drop(maintenance);
        db.close()
    };
    tokio::task::spawn_blocking(close)
        .await
        .map_err(|error| error.to_string())?
        .map_err(|error| format!("closing the database: {error}"))?;
    tracing::info!("stopped");
    Ok(())
}

/// `:9090` is every address of the machine, as in Go.
async fn listen(address: &str) -> std::io::Result<TcpListener> {
    let Some(port) = address.strip_prefix(':') else { return TcpListener::bind(address).await };
    match TcpListener::bind(format!("[::]:{port}")).await {
        Ok(listener) => Ok(listener),
        // A machine without IPv6; if it is something else, it is so here too.
        Err(_) => TcpListener::bind(format!("0.0.0.0:{port}")).await,
    }
}

async fn open(args: &ServeArgs, loaded: &Loaded) -> Result<Arc<Db>, String> {
    let storage = &loaded.config.storage;
    let options = Options {
        sync: match args.sync {
            Sync::Always => SyncMode::Always,
            Sync::Interval => SyncMode::IntervalMs(1000),
            Sync::Never => SyncMode::Never,
        },
        retention_ms: storage.retention_time_ms.unwrap_or(args.retention_time.0),
        retention_bytes: storage.retention_bytes.unwrap_or(args.retention_size.0),
        out_of_order_window_ms: storage.out_of_order_time_window_ms.unwrap_or(args.out_of_order_window.0),
        series_max: args.series_max,
        ..Options::default()
    };
    let dir = args.storage_path.clone();
    let opened = tokio::task::spawn_blocking(move || Db::open(&dir, options)).await;
    let db = opened
        .map_err(|error| format!("opening the database failed: {error}"))?
        .map_err(|error| format!("cannot open the database: {error}"))?;
    let replay = db.stats().replay;
    for damage in &replay.damaged {
        tracing::warn!("write-ahead log: {damage}");
    }
    tracing::info!(
        series = replay.series,
        samples = replay.samples,
        damaged = replay.damaged_total,
        took_ms = replay.duration_ms,
        "database is open"
    );
    Ok(Arc::new(db))
}

fn listen_to_signals(orders: mpsc::UnboundedSender<Order>) -> std::io::Result<tokio::task::JoinHandle<()>> {
    let mut hangup = signal(SignalKind::hangup())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(tokio::spawn(async move {
        loop {
            let order = tokio::select! {
                _ = hangup.recv() => Order::Reload(std::sync::mpsc::sync_channel(1).0),
                _ = terminate.recv() => Order::Quit,
                _ = interrupt.recv() => Order::Quit,
            };
            if orders.send(order).is_err() {
                return;
            }
        }
    }))
}

/// The parts that run.
struct Server {
    args: ServeArgs,
    address: String,
    engine: Engine,
    db: Arc<Db>,
    scrape: Arc<ScrapeView>,
    rules: Arc<RuleManager>,
    status: Arc<ServerStatus>,
}

impl Server {
    fn new(args: ServeArgs, start: Timestamp, db: Arc<Db>, address: String) -> Server {
        let engine = Engine::new(EngineOptions {
            lookback_delta_ms: args.lookback_delta.0,
            max_samples: args.max_samples,
            ..EngineOptions::default()
        });
        let timeout = Duration::from_millis(args.query_timeout.0 as u64);
        let rules = Arc::new(RuleManager::new(Arc::clone(&db), engine.clone(), timeout));
        let manager = Arc::new(ScrapeManager::new(db.clone(), ManagerOptions::default()));
        let scrape = Arc::new(ScrapeView { manager });
        let status = Arc::new(ServerStatus {
            args: args.clone(),
            start,
            db: Arc::clone(&db),
            rules: Arc::clone(&rules),
            scrape: Arc::clone(&scrape),
            config: RwLock::new(ConfigState { yaml: String::new(), success: false, read_at: start }),
        });
        Server { args, address, engine, db, scrape, rules, status }
    }

    fn api(&self, orders: mpsc::UnboundedSender<Order>) -> Api {
        let limits = ApiLimits {
            query_timeout: Duration::from_millis(self.args.query_timeout.0 as u64),
            queries_concurrent_max: self.args.max_concurrency,
            ..ApiLimits::default()
        };
        let mut api = Api::new(self.db.clone(), self.engine.clone())
            .limits(limits)
            .targets(self.scrape.clone())
            .rules(self.rules.clone())
            .status(self.status.clone())
            .admin(self.args.enable_admin_api);
        if self.args.enable_remote_write_receiver {
            let receiver = Receiver { receiver: WriteReceiver::default(), db: Arc::clone(&self.db) };
            api = api.remote_write(Arc::new(receiver));
        }
        if self.args.enable_lifecycle {
            api = api.control(Arc::new(Lifecycle { orders }));
        }
        api
    }

    /// Puts a configuration into force.
    async fn apply(&self, loaded: Loaded) {
        let Loaded { config, groups } = loaded;
        for warning in config.warnings() {
            tracing::warn!("configuration: {}", warning.headline());
        }
        self.status.set_config_state(|state| {
            *state = ConfigState { yaml: config.to_yaml(), success: true, read_at: now() };
        });
        let setting = RuleSetting {
            options: GroupOptions {
                interval_ms: config.global.evaluation_interval_ms,
                query_offset_ms: config.global.rule_query_offset_ms,
                restore: true,
                ..GroupOptions::default()
            },
            external_labels: config.global.external_labels.clone(),
            external_url: self.external_url(),
        };
        self.rules.apply(&groups, &setting).await;
        self.scrape.manager.apply(&config);
    }

    /// Reads the configuration again. A faulty one changes nothing.
    async fn reload(&self) -> Result<(), String> {
        let (file, address) = (self.args.config_file.clone(), self.address.clone());
        let loaded = tokio::task::spawn_blocking(move || configuration::load(file.as_deref(), &address))
            .await
            .map_err(|error| error.to_string())
            .flatten();
        match loaded {
            Ok(loaded) => {
                self.apply(loaded).await;
                tracing::info!("configuration reloaded");
                Ok(())
            }
            Err(error) => {
                tracing::error!("the new configuration is not used: {error}");
                self.status.set_config_state(|state| state.success = false);
                Err(error)
            }
        }
    }

    fn external_url(&self) -> String {
        match self.args.external_url.trim_end_matches('/') {
            "" => format!("http://{}", self.address),
            url => url.to_owned(),
        }
    }
}
