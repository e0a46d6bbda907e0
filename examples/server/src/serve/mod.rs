//! `kymo serve`: binds, opens, starts the loops, waits for signals, stops in order.

mod admin;
mod args;
mod carried;
mod configuration;
mod external_url;
mod features;
mod listen;
mod logging;
mod metrics;
mod process;
mod reload;
mod rules;
mod status;
mod targets;

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::{Arc, RwLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use kymo_http::{Api, ApiLimits, Gate, Notifications, ServeOptions, WebOptions};
use kymo_model::Timestamp;
use kymo_promql::{Engine, EngineOptions};
use kymo_remote::{ReadOptions, WriteReceiver};
use kymo_rules::{GroupOptions, RestoreOptions};
use kymo_scrape::{ManagerOptions, ScrapeManager};
use kymo_tsdb::{Db, HeadDamage, Options, SyncMode};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Semaphore, mpsc, oneshot};

use admin::TsdbAdmin;
pub(crate) use admin::{SNAPSHOTS_DIR, snapshot_name};
use args::Sync;
pub(crate) use args::{Bytes, ServeArgs, bytes};
use configuration::{Loaded, Source};
use external_url::ExternalUrl;
use features::Features;
use rules::{RuleManager, RuleSetting};
use status::{ConfigState, Lifecycle, Order, Reader, Receiver, Retention, ServerStatus};
use targets::ScrapeView;

use crate::progress::log_opening;

/// How often the database syncs, drops what is past retention, and cleans up.
const MAINTENANCE_INTERVAL: Duration = Duration::from_millis(500);

/// How many exemplars are kept when the configuration does not say.
const EXEMPLARS_MAX_DEFAULT: u64 = 100_000;

/// Prometheus' words for what operators should see at once.
const RELOAD_FAILED: &str = "Configuration reload has failed.";
const SHUTTING_DOWN: &str = "Prometheus is shutting down and gracefully stopping all operations.";

/// The wall clock.
fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(since.as_millis() as i64)
}

/// Runs the server until it is told to stop.
pub(crate) fn run(args: ServeArgs) -> ExitCode {
    logging::start(args.log_level, args.log_format);
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
    let features = Features::read(&args.features)?;
    for warning in args.judge()?.iter().chain(&features.warnings) {
        tracing::warn!("{warning}");
    }
    let (listeners, addresses) = listen::listen_on(&args.listen_addresses).await?;
    let address = *addresses.first().ok_or("expected an address to listen on, found none")?;
    let external_url = ExternalUrl::new(&args.external_url, address)?;
    let route_prefix = external_url.route_prefix(args.route_prefix.as_deref());
    let source = Source { file: args.config_file.clone(), address, route_prefix: route_prefix.clone() };
    let loaded = configuration::load(&source, &features)?;

    let gate = Gate::new();
    let (stop_http, http_stopped) = oneshot::channel::<()>();
    let options = ServeOptions {
        connections_max: args.max_connections,
        header_timeout: args.read_timeout.duration(),
        ..ServeOptions::default()
    };
    let routes = kymo_http::mount(gate.router(), &route_prefix);
    let http = tokio::spawn(kymo_http::serve(listeners, routes, options, async {
        // Also when the other end is gone: then there is nothing left to serve.
        let _ = http_stopped.await;
    }));
    for address in &addresses {
        tracing::info!(%address, "listening");
    }

    let retention = retention(&args, &loaded);
    let db = open(&args, &loaded, retention).await?;
    let web = Web { source, external_url, ports: addresses.iter().map(SocketAddr::port).collect() };
    let server = Server::new(args, features, web, start, db, retention);
    let (orders, mut inbox) = mpsc::unbounded_channel();
    server.apply(loaded).await;
    gate.open(kymo_http::router(server.api(orders.clone())));
    tracing::info!("server is ready to receive web requests");

    let watch = server.watch_files(&orders);
    let signals = listen_to_signals(orders).map_err(|error| format!("cannot listen to signals: {error}"))?;
    let (watched, mut told) = (Arc::clone(&server.db), HeadDamage::default());
    let maintenance = server
        .db
        .spawn_maintenance(MAINTENANCE_INTERVAL, move |outcome| {
            if let Err(error) = outcome {
                tracing::error!(%error, "maintaining the database");
            }
            let found = watched.stats().head_damage;
            tell_of_damage(&told, &found);
            told = found;
        })
        .map_err(|error| format!("cannot start the maintenance thread: {error}"))?;
    while let Some(Order::Reload(answer)) = inbox.recv().await {
        // Who asked may have gone; the log has it too.
        let _ = answer.send(server.reload().await);
    }
    tracing::info!("stopping");
    server.notifications.begin(SHUTTING_DOWN);
    server.notifications.close();
    signals.abort();
    if let Some(watch) = watch {
        watch.abort();
    }
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

/// Logs the damaged chunks of the head that were met since. Queries have warnings of them; who asks by remote read or federation
/// is not told otherwise.
fn tell_of_damage(told: &HeadDamage, found: &HeadDamage) {
    for damage in found.listed.iter().skip(told.listed.len()) {
        tracing::warn!("damaged: {damage}");
    }
    if found.quarantined > told.quarantined {
        let chunks = found.quarantined - told.quarantined;
        tracing::warn!(chunks, "damaged chunks left the head, their bytes are in quarantine");
    }
}

/// How much is kept: a block of the configuration comes before its flag.
fn retention(args: &ServeArgs, loaded: &Loaded) -> Retention {
    let storage = &loaded.config.storage;
    Retention {
        time_ms: storage.retention_time_ms.unwrap_or(args.retention_time_ms()),
        bytes: storage.retention_bytes.unwrap_or(args.retention_size.0),
    }
}

/// Prometheus' default where the configuration says nothing.
fn exemplars_max(loaded: &Loaded) -> usize {
    let max = loaded.config.storage.max_exemplars.unwrap_or(EXEMPLARS_MAX_DEFAULT);
    usize::try_from(max).unwrap_or(usize::MAX)
}

async fn open(args: &ServeArgs, loaded: &Loaded, retention: Retention) -> Result<Arc<Db>, String> {
    let storage = &loaded.config.storage;
    let options = Options {
        sync: match args.sync {
            Sync::Always => SyncMode::Always,
            Sync::Interval => SyncMode::IntervalMs(1000),
            Sync::Never => SyncMode::Never,
        },
        retention_ms: if retention.time_ms == 0 { i64::MAX } else { retention.time_ms },
        retention_bytes: retention.bytes,
        out_of_order_window_ms: storage.out_of_order_time_window_ms.unwrap_or(args.out_of_order_window.0),
        exemplars_max: exemplars_max(loaded),
        block_range_ms: args.block_duration_min.0,
        block_range_ms_max: args.block_duration_max.map_or(0, |max| max.0),
        cold_after_ms: args.cold_after.map_or(Options::NEVER_COLD, |after| after.0),
        series_max: args.series_max,
        series_per_name_max: args.series_per_name_max,
        series_per_label_max: args.series_per_label_max.clone(),
        disk_reserve_bytes: args.disk_reserve.0,
        import_prometheus: args.prometheus_import,
        on_progress: Some(log_opening()),
        ..Options::default()
    };
    let dir = args.storage_path.clone();
    let opened = tokio::task::spawn_blocking(move || Db::open(&dir, options)).await;
    let db = opened
        .map_err(|error| format!("opening the database failed: {error}"))?
        .map_err(|error| format!("cannot open the database: {error}"))?;
    let replay = db.stats().replay;
    if let Some(imported) = &replay.imported {
        for damage in &imported.damaged {
            tracing::warn!("log of Prometheus: {damage}");
        }
        tracing::info!(
            blocks = imported.blocks.len(),
            series = imported.series,
            samples = imported.samples(),
            exemplars = imported.exemplars,
            metadata = imported.metadata,
            damaged = imported.damaged_total,
            "what a Prometheus left was imported"
        );
    }
    if replay.prometheus_passed_over {
        let dir = args.storage_path.display();
        tracing::warn!(
            "a Prometheus has left a log in {dir}, which is not read: there is a head already; stop the server and run: kymo tsdb \
             import prometheus {dir}"
        );
    }
    for damage in &replay.damaged {
        tracing::warn!("damaged: {damage}");
    }
    let blocks = db.stats().blocks.blocks;
    tracing::info!(
        blocks,
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

/// How the server is reached.
struct Web {
    source: Source,
    external_url: ExternalUrl,
    /// Of every listener.
    ports: Vec<u16>,
}

/// The parts that run.
struct Server {
    args: ServeArgs,
    features: Features,
    web: Web,
    engine: Engine,
    db: Arc<Db>,
    retention: Retention,
    scrape: Arc<ScrapeView>,
    rules: Arc<RuleManager>,
    status: Arc<ServerStatus>,
    notifications: Notifications,
}

impl Server {
    fn new(
        args: ServeArgs,
        features: Features,
        web: Web,
        start: Timestamp,
        db: Arc<Db>,
        retention: Retention,
    ) -> Server {
        let engine = Engine::new(EngineOptions {
            lookback_delta_ms: args.lookback_delta.0,
            max_samples: args.max_samples,
            threads: args.query_threads,
            max_series: args.query_max_series,
            max_samples_read: args.query_max_samples_read,
            max_bytes: args.query_max_bytes.in_memory(),
            max_bytes_all: args.query_max_bytes_all.in_memory(),
            delayed_name_removal: features.delayed_name_removal,
            use_start_timestamps: features.use_start_timestamps,
            ..EngineOptions::default()
        });
        let rules =
            Arc::new(RuleManager::new(Arc::clone(&db), engine.clone(), args.query_timeout.duration()));
        let options = ManagerOptions {
            external_url: Some(web.external_url.url.clone()),
            own_ports: web.ports.clone(),
            ..ManagerOptions::default()
        };
        let scrape = Arc::new(ScrapeView { manager: Arc::new(ScrapeManager::new(db.clone(), options)) });
        let status = Arc::new(ServerStatus {
            args: args.clone(),
            start,
            engine: engine.clone(),
            db: Arc::clone(&db),
            rules: Arc::clone(&rules),
            scrape: Arc::clone(&scrape),
            features: features.clone(),
            config: RwLock::new(ConfigState { read_at: start, ..ConfigState::default() }),
        });
        let notifications = Notifications::new(args.notification_subscribers);
        Server { args, features, web, engine, db, retention, scrape, rules, status, notifications }
    }

    fn api(&self, orders: mpsc::UnboundedSender<Order>) -> Api {
        let args = &self.args;
        let limits = ApiLimits {
            query_timeout: args.query_timeout.duration(),
            queries_concurrent_max: args.max_concurrency,
            per_step_stats: self.features.per_step_stats,
            reads_concurrent_max: match args.read_concurrent_limit {
                0 => Semaphore::MAX_PERMITS,
                limit => limit,
            },
            body_timeout: args.read_timeout.duration(),
            ..ApiLimits::default()
        };
        let web = WebOptions {
            external_path: self.web.external_url.path.clone(),
            cors_origin: args.cors_origin.clone(),
            page_title: args.page_title.clone(),
        };
        let mut api = Api::new(self.db.clone(), self.engine.clone())
            .limits(limits)
            .parser(self.features.parser())
            .web(web)
            .notifications(self.notifications.clone())
            .exemplars(self.db.clone())
            .metadata(self.db.clone())
            .targets(self.scrape.clone())
            .rules(self.rules.clone())
            .status(self.status.clone())
            .remote_read(Arc::new(self.reader()));
        if args.enable_admin_api {
            api = api.admin(Arc::new(TsdbAdmin { db: Arc::clone(&self.db), dir: args.storage_path.clone() }));
        }
        if args.enable_remote_write_receiver || self.features.remote_write_receiver {
            let receiver = Receiver { receiver: WriteReceiver::default(), db: Arc::clone(&self.db) };
            api = api.remote_write(Arc::new(receiver));
        }
        if args.enable_lifecycle {
            api = api.control(Arc::new(Lifecycle { orders }));
        }
        api
    }

    fn reader(&self) -> Reader {
        let options = ReadOptions {
            samples_max: self.args.read_sample_limit,
            frame_bytes_max: self.args.read_frame_bytes,
            ..ReadOptions::default()
        };
        Reader { db: Arc::clone(&self.db), status: Arc::clone(&self.status), options }
    }

    /// Looks at the files of the configuration now and then, if that is switched on.
    fn watch_files(&self, orders: &mpsc::UnboundedSender<Order>) -> Option<tokio::task::JoinHandle<()>> {
        let file = self.args.config_file.clone().filter(|_| self.features.auto_reload_config)?;
        let interval = self.args.auto_reload_interval.duration();
        Some(tokio::spawn(reload::watch(file, interval, orders.clone())))
    }

    /// Puts a configuration into force.
    async fn apply(&self, loaded: Loaded) {
        self.db.resize_exemplars(exemplars_max(&loaded));
        let Loaded { config, groups } = loaded;
        for warning in config.warnings() {
            tracing::warn!("configuration: {}", warning.headline());
        }
        self.status.set_config_state(|state| {
            *state = ConfigState {
                yaml: config.to_yaml(),
                external_labels: config.global.external_labels.clone(),
                retention: self.retention,
                success: true,
                read_at: now(),
            };
        });
        let setting = RuleSetting {
            options: GroupOptions {
                interval_ms: config.global.evaluation_interval_ms,
                query_offset_ms: config.global.rule_query_offset_ms,
                restore: true,
                ..GroupOptions::default()
            },
            external_labels: config.global.external_labels.clone(),
            external_url: self.web.external_url.text.clone(),
            restore: RestoreOptions {
                outage_tolerance_ms: self.args.for_outage_tolerance.0,
                for_grace_period_ms: self.args.for_grace_period.0,
            },
            parser: self.features.parser(),
        };
        self.rules.apply(&groups, &setting).await;
        self.scrape.manager.apply(&config);
    }

    /// Reads the configuration again. A faulty one changes nothing.
    async fn reload(&self) -> Result<(), String> {
        let (source, features) = (self.web.source.clone(), self.features.clone());
        let loaded = tokio::task::spawn_blocking(move || configuration::load(&source, &features))
            .await
            .map_err(|error| error.to_string())
            .flatten();
        match loaded {
            Ok(loaded) => {
                self.apply(loaded).await;
                self.notifications.end(RELOAD_FAILED);
                tracing::info!("configuration reloaded");
                Ok(())
            }
            Err(error) => {
                tracing::error!("the new configuration is not used: {error}");
                self.notifications.begin(RELOAD_FAILED);
                self.status.set_config_state(|state| state.success = false);
                Err(error)
            }
        }
    }
}
