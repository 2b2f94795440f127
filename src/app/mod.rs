//! Builds every room from the configuration, wires them, runs them, drains them. The one place that knows them all.
//!
//! Start: build, bind, say ready. Stop: unready, no new clients, say goodbye to the present ones in batches, end the feeds, stop the
//! workers, close the store; one deadline over all of it.

mod care;
mod drain;
mod feeds;
mod logins;
mod measured;
pub mod settings;
pub mod state;
mod steering;
mod watchdog;

use crate::admin::audit::Audit;
use crate::admin::{AdminSettings, Desk, DeskParts, Port, publish_record};
use crate::auth::accounts::{AccountParts, Accounts};
use crate::auth::passwords::Passwords;
use crate::auth::{ApiKey, ApiKeys, Blocks, Jwks, Keyring};
use crate::broker::{Broker, Deliver, DurableBroker, Loaded, MemoryBroker, Past, Publisher};
use crate::channel::ChannelRules;
use crate::clock::Clock;
use crate::config::{Config, FeedConfig};
use crate::demo::{DemoFeed, DemoSettings};
use crate::guard::admission::Admission;
use crate::guard::limits::Limits;
use crate::guard::maintenance::Maintenance;
use crate::guard::reaper::{Reaper, Watches};
use crate::hooks::{Courier, Events, Hooks};
use crate::http::api::{self, ApiState, openapi};
use crate::http::connection::{Connection, Deadlines};
use crate::http::debug::DebugKey;
use crate::http::health::Readiness;
use crate::http::listen::{self, Gate};
use crate::http::live::Live;
use crate::http::login::{IsTls, LoginState};
use crate::http::pages::Pages;
use crate::http::routes::Routes;
use crate::http::transports::websocket::{self, WebsocketSettings};
use crate::mercure::{MercureHub, Tap};
use crate::metrics::flock::{Airfield, Way, from_here};
use crate::metrics::heap::HeapProfiler;
use crate::metrics::{Observatory, ObservatoryParts};
use crate::outbox::OutboxLimits;
use crate::session::hub::Hub;
use crate::session::worker::{Shared, Worker};
use crate::store::{self, Store};
use crate::telemetry::http::ConnectionsReaped;
use crate::telemetry::metrics::set_process_apart;
use crate::telemetry::tokens::BlocksNotRead;
use crate::telemetry::{emit, show_from_the_start};
use crate::threads;
use crate::tls::{CertificatePaths, CertificateWatch, ReloadingResolver, WatchTiming, server_config};
use crate::topic::fanout::Fan;
use crate::topic::registry::{Topics, WORKERS_MAX};
use crate::upstream::Upstream;
use actix::Arbiter;
use actix_http::{Extensions, HttpService, KeepAlive};
use actix_server::Server;
use actix_service::{ServiceFactoryExt, fn_service, map_config};
use actix_web::dev::AppConfig;
use actix_web::{App, web};
use anyhow::{Context, anyhow};
use drain::Draining;
use feeds::{FeedWorkshop, Listeners};
use logins::{AuditJournal, HubLogins};
use measured::Measured;
use parking_lot::{Mutex, RwLock};
use settings::Verifiers;
use state::State;
use std::cell::RefCell;
use std::net::SocketAddr;
use std::path::Path;
use std::rc::Rc;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use steering::{Reread, Steering};
use tokio::task::JoinHandle;

/// The demo feed's name, and the namespace of its channels.
const DEMO_FEED: &str = "demo";

/// Seconds that HTTP answers under way get when everything else is gone.
const HTTP_STOP_SECONDS: u64 = 2;

/// Time for history that waits to be written when everybody is gone.
const HISTORY_STOP_MAX: Duration = Duration::from_secs(5);

/// Time for what was measured last to be written.
const METRICS_STOP_MAX: Duration = Duration::from_secs(3);

/// Time for the audit log to take what waits for it.
const AUDIT_STOP_MAX: Duration = Duration::from_secs(3);

/// Where the hub can be reached.
#[derive(Clone, Debug, Default)]
pub struct Addresses {
    pub plain: Option<SocketAddr>,
    pub tls: Option<SocketAddr>,
}

/// Runs the hub until it is told to stop. `reread` reads the configuration anew; `ready` is told where the hub can be reached, once everything
/// answers.
pub async fn run(mut config: Config, reread: Arc<Reread>, ready: impl FnOnce(&Addresses)) -> anyhow::Result<()> {
    let as_read = config.clone();
    let demo = start_demo(&mut config)?;
    let store = store::open(&config.store, Path::new(&config.data_dir)).await?;
    let clock = Clock::system();
    let certificate = open_certificate(&config, &clock)?;
    let watch = certificate.as_ref().map(|(_, watch)| Arc::clone(watch));
    let house = House::build(&config, Surroundings { clock, store: Arc::clone(&store), certificate: watch, as_read, reread })?;
    if let Some(history) = &house.history {
        let mut past = Past::wanting(house.mercure.as_ref().map_or(0, |mercure| mercure.history_size()));
        let Loaded { streams, publications, forgotten, left } = history.open(&mut past).await?;
        if let Some(mercure) = &house.mercure {
            mercure.take_over(past);
        }
        log::info!("history: {streams} streams with {publications} publications taken over, {forgotten} forgotten, {left} left in the store");
    }
    let workers = worker_count(&config);
    let gate = &house.gate;

    let (mut addresses, mut listeners, mut ways) = (Addresses::default(), Vec::new(), Vec::new());
    let http = &config.http_server;
    let tls = certificate.as_ref().map(|(resolver, _)| server_config(Arc::clone(resolver))).transpose()?.map(Arc::new);
    let main_tls = if http.tls.enabled { tls.clone() } else { None };
    let wanted = [(http.port, true, main_tls), (http.tls_port, tls.is_some() && wants_second_port(&config), tls)];
    for (port, is_wanted, tls) in wanted {
        if !is_wanted {
            continue;
        }
        let listener =
            listen::open(&http.address, port, http.backlog).with_context(|| format!("cannot listen on port {port} of \"{}\"", http.address))?;
        let address = listener.local_addr().context("cannot tell the address of a listening socket")?;
        let of_tls = certificate.as_ref().filter(|_| tls.is_some()).map(|(resolver, _)| Arc::clone(resolver));
        ways.push(Way { address: from_here(address), certificate: of_tls });
        if tls.is_some() {
            addresses.tls = Some(address)
        } else {
            addresses.plain = Some(address)
        }
        listeners.push((listener, tls));
    }

    let _ = house.state.addresses.set(addresses.clone());
    let mut server = Server::build()
        .workers(workers)
        .disable_signals()
        .shutdown_timeout(HTTP_STOP_SECONDS)
        .backlog(http.backlog)
        // Never reached: admission refuses before, where this would let clients hang.
        .max_concurrent_connections(usize::MAX / 2);
    for (index, (listener, tls)) in listeners.into_iter().enumerate() {
        let (house, gate) = (Arc::clone(&house), Arc::clone(gate));
        server = server.listen(format!("listener {index}"), listener, move || {
            let worker = house.worker();
            let (gate, tls, house) = (Arc::clone(&gate), tls.clone(), Arc::clone(&house));
            let (is_tls, proxies) = (IsTls(tls.is_some()), gate.proxies.clone());
            let deadlines: Rc<Deadlines> = Rc::new(gate.deadlines);
            let websocket = Arc::clone(&house.websocket);
            let (routes, for_requests) = (house.routes.clone(), Rc::clone(&worker));
            let service = HttpService::build()
                .keep_alive(KeepAlive::Timeout(Duration::from_millis(deadlines.keep_alive_ms)))
                .client_request_timeout(Duration::from_millis(deadlines.first_request_ms))
                .client_disconnect_timeout(Duration::from_secs(1))
                .on_connect_ext(|connection: &Connection, extensions: &mut Extensions| {
                    extensions.insert(connection.door());
                })
                .h1_allow_half_closed(false)
                .upgrade(fn_service(move |(request, framed)| {
                    let (worker, websocket) = (Rc::clone(&worker), Arc::clone(&websocket));
                    async move {
                        websocket::upgrade(worker, websocket, request, framed).await;
                        Ok::<_, actix_http::Error>(())
                    }
                }))
                .finish(map_config(
                    App::new().app_data(is_tls).app_data(proxies).app_data(for_requests).configure(move |service| routes.configure(service)),
                    |()| AppConfig::default(),
                ))
                .map_err(|error| log::debug!("a connection ended: {error}"));
            fn_service(move |tcp| Arc::clone(&gate).enter(tcp, tls.clone(), Rc::clone(&deadlines))).and_then(service)
        })?;
    }
    let server = server.run();
    let handle = server.handle();
    let serving = actix_rt::spawn(server);
    let reaper = Reaper::start(Arc::clone(&gate.watches), house.clock.clone(), |count| emit(ConnectionsReaped { count }))?;

    if let Err(why) = house.sessions.blocks.read().await {
        emit(BlocksNotRead { why: &why });
    }
    // From before the first client on: the first one may bring a token of somebody whose keys have to be read.
    let mut keepers: Vec<_> = house.published.iter().map(|keys| actix_rt::spawn(watchdog::keep_keys(Arc::clone(keys)))).collect();
    keepers.push(actix_rt::spawn(watchdog::keep_blocks(Arc::clone(&house), config.client.block_refresh_interval.duration())));
    wait_until_ready(&house.readiness).await?;
    let canaries = house.let_canaries_fly(&config, ways, workers);
    house.restore_feeds(&config, Arc::clone(&store)).await;
    if let Err(error) = house.api_keys.refresh().await {
        log::warn!("api: named keys are not known yet, since they cannot be read: {error}");
    }
    // Feeds begin when what they bring can be delivered.
    let watchdog = actix_rt::spawn(watchdog::watch(Arc::clone(&house)));
    let api_keys = actix_rt::spawn(Arc::clone(&house.api_keys).keep());
    let store_watch = actix_rt::spawn(store::watch(Arc::clone(&store)));
    let store_care = actix_rt::spawn(care::care(Arc::clone(&store), house.clock.clone()));
    house.say_how_to_add_users(&config).await;
    ready(&addresses);

    drain::wait_for_signal(certificate.as_ref().map(|(_, watch)| &**watch), &house.draining).await?;
    let drained = house.draining.drain(&config.shutdown, &house).await;
    watchdog.abort();
    keepers.iter().for_each(JoinHandle::abort);
    house.stop_feeds().await;
    if let Some(demo) = demo {
        demo.stop().await;
    }
    gate.watches.shutdown_all();
    handle.stop(true).await;
    serving.await.context("the server's task")?.context("the server")?;
    drop(reaper);
    house.operators.stop();
    house.watchman.stop();
    if let Some(canaries) = canaries {
        canaries.stop();
    }
    if let Some(metrics) = &house.metrics
        && tokio::time::timeout(METRICS_STOP_MAX, metrics.close()).await.is_err()
    {
        log::warn!("what was measured last was not written in time");
    }
    if let Some(hooks) = &house.sessions.hooks {
        hooks.stop();
    }
    if let Some(events) = &house.sessions.events {
        events.close(config.hooks.events.stop_timeout.duration()).await;
    }
    if tokio::time::timeout(AUDIT_STOP_MAX, house.desk.audit.stop()).await.is_err() {
        log::warn!("the audit log did not take all records in time");
    }
    store_watch.abort();
    api_keys.abort();
    store_care.abort();
    if let Some(history) = &house.history {
        history.close(HISTORY_STOP_MAX).await;
    }
    // Last: until here everybody may have had something to write.
    if let Err(error) = store.close().await {
        log::warn!("the store was not closed in time: {error}");
    }
    log::info!("stopped; {drained}");
    Ok(())
}

/// What the house stands on.
struct Surroundings {
    clock: Clock,
    store: Arc<dyn Store>,
    certificate: Option<Arc<CertificateWatch>>,
    /// The configuration as it was read.
    as_read: Config,
    reread: Arc<Reread>,
}

/// What all workers share.
pub struct House {
    clock: Clock,
    gate: Arc<Gate>,
    topics: Arc<Topics>,
    broker: Arc<MemoryBroker>,
    api_keys: Arc<ApiKeys>,
    /// Where a namespace keeps history in the store.
    history: Option<Arc<DurableBroker>>,
    hub: Arc<Hub>,
    mercure: Option<Arc<MercureHub>>,
    sessions: Shared,
    published: Vec<Arc<Jwks>>,
    outbox: OutboxLimits,
    websocket: Arc<WebsocketSettings>,
    readiness: web::Data<Readiness>,
    state: web::Data<State>,
    routes: Routes,
    upstream: Upstream,
    feeds: Arbiter,
    desk: Arc<Desk>,
    port: Arc<Port>,
    operators: Arbiter,
    /// `None`: nothing is measured.
    metrics: Option<Arc<Observatory>>,
    watchman: Arbiter,
    draining: Arc<Draining>,
    worker_indices: Mutex<Vec<bool>>,
}

impl House {
    fn build(config: &Config, Surroundings { clock, store, certificate, as_read, reread }: Surroundings) -> anyhow::Result<Arc<Self>> {
        show_from_the_start();
        let rules: Arc<ChannelRules> = Arc::new(config.channel.rules().context("channel")?);
        let arbiters = (0..config.topic.threads.max(1)).map(|_| threads::arbiter("topics").handle()).collect();
        let topics = Topics::new(arbiters, Arc::clone(&rules), settings::topics(config), &clock);
        let draining = Draining::new();
        let mercure = settings::mercure(config, &topics, draining.of_mercure(), &clock)?;
        let deliver: Arc<dyn Deliver> = match &mercure {
            Some(hub) => Arc::new(Tap { hub: Arc::clone(hub), topics: Arc::clone(&topics) as _ }),
            None => Arc::clone(&topics) as _,
        };
        let broker = Arc::new(MemoryBroker::new(settings::broker(config), clock.clone(), deliver));
        let history = config.channel.keeps_history_in_store().then(|| {
            let queue_bytes_max = config.store.queue_bytes_max.bytes();
            DurableBroker::new(Arc::clone(&broker), Arc::clone(&rules), Arc::clone(&store), clock.clone(), queue_bytes_max)
        });
        let front: Arc<dyn Broker> = match &history {
            Some(history) => Arc::clone(history) as Arc<dyn Broker>,
            None => Arc::clone(&broker) as Arc<dyn Broker>,
        };
        topics.plug_in(Arc::clone(&front));
        let content = Arc::new(settings::content(config)?);
        let publisher = Publisher { rules, content, broker: front };
        let hub_tokens = settings::hub_tokens(config).context("accounts")?;
        let Verifiers { connection: tokens, subscription: subscription_tokens, published } = settings::tokens(config, hub_tokens.as_ref(), &clock)?;
        let proxies = settings::proxies(config)?;
        let limits = Arc::new(Limits::new(&settings::limits(config), &clock));
        let limit = raise_descriptor_limit().saturating_sub(config.http_server.reserved_descriptors);
        let connection_limit = config.http_server.connection_limit.min(limit);
        if connection_limit < config.http_server.connection_limit {
            log::warn!("the system allows fewer descriptors than http_server.connection_limit wants: {connection_limit} connections are taken");
        }
        let admission = Admission::new(connection_limit, config.http_server.connection_limit_per_ip);
        let gate = Gate {
            admission: Arc::clone(&admission),
            watches: Arc::new(Watches::default()),
            clock: clock.clone(),
            deadlines: settings::deadlines(config),
            proxies: proxies.clone(),
            roost: Arc::default(),
            is_draining: draining.flag(),
        };
        let hub = Arc::new(Hub::default());
        let upstream = Upstream::new(settings::upstream(config)?, &clock)?;
        let node = settings::node(config, &clock);
        let events = Events::start(&config.hooks.events, &node.name, &clock)?;
        let (rules, events_too) = (Arc::clone(topics.rules()), events.clone());
        topics.plug_in_demand(Arc::new(Listeners { upstream: upstream.clone(), rules, events: events_too, clock: clock.clone() }));
        let state = web::Data::new(State {
            admission,
            hub: Arc::clone(&hub),
            topics: Arc::clone(&topics),
            broker: Arc::clone(&broker),
            clock: clock.clone(),
            upstream: upstream.clone(),
            pool: RwLock::default(),
            store: Arc::clone(&store),
            history: history.clone(),
            mercure: mercure.clone(),
            metrics: RwLock::default(),
            canaries: OnceLock::new(),
            observatory: OnceLock::new(),
            addresses: OnceLock::new(),
        });
        let maintenance = Arc::new(Maintenance::default());
        let readiness =
            web::Data::from(Readiness::new(Arc::clone(&topics), Arc::clone(&store), draining.flag(), Arc::clone(&maintenance), worker_count(config)));
        let audit = {
            let publisher = publisher.clone();
            Audit::start(Arc::clone(&store), clock.clone(), settings::audit(config), move |record| publish_record(&publisher, record))
        };
        let courier = if config.metrics.enabled { Courier::start(&settings::alerts_courier(config, &store), &clock)? } else { None };
        let letters = if config.metrics.enabled { settings::letters(config, &node.name, &clock, &store)? } else { settings::Letters::default() };
        let metrics = config.metrics.enabled.then(|| {
            set_process_apart();
            Observatory::new(ObservatoryParts {
                courier,
                alert_letters: letters.alerts,
                report_letters: letters.reports,
                clock: clock.clone(),
                house: Arc::new(Measured {
                    state: state.clone(),
                    draining: Arc::clone(&draining),
                    maintenance: Arc::clone(&maintenance),
                    connections_max: connection_limit,
                    feed_connections_max: config.upstream.pool.connections_max,
                }),
                topics: Arc::clone(&topics),
                publisher: publisher.clone(),
                store: Arc::clone(&store),
                settings: settings::metrics(config, &node.name),
            })
        });
        if let Some(observatory) = &metrics {
            let _ = state.observatory.set(Arc::downgrade(observatory));
        }
        let port = Arc::new(Port::new(audit.clone()));
        let api_keys = Arc::new(ApiKeys::new(ApiKey::new(config.http_api.key.expose()), Arc::clone(&store), clock.clone()));
        let house = Steering {
            state: state.clone(),
            draining: Arc::clone(&draining),
            certificate,
            config: Mutex::new(as_read),
            reread,
            clock: clock.clone(),
            tokens: Arc::clone(&tokens),
            subscription_tokens: Arc::clone(&subscription_tokens),
            api_keys: Arc::clone(&api_keys),
        };
        let path = |enabled: bool, path: &String| enabled.then(|| path.clone());
        let live = config.live.enabled.then(|| Live::new(&settings::live(config, &node), publisher.clone(), Arc::clone(&topics), clock.clone()));
        let blocks = Arc::new(Blocks::new(Arc::clone(&store), clock.clone()));
        let login = match hub_tokens {
            Some(tokens) => Some(LoginState {
                prefix: config.accounts.handler_prefix.clone(),
                accounts: Arc::new(Accounts::new(
                    AccountParts {
                        store: Arc::clone(&store),
                        clock: clock.clone(),
                        tokens,
                        passwords: Arc::new(Passwords::start(&settings::passwords(config)).context("accounts.password")?),
                        live: Arc::new(HubLogins(Arc::clone(&hub))),
                        journal: Arc::new(AuditJournal(audit.clone())),
                        rules: Arc::clone(&publisher.rules),
                        blocks: Arc::clone(&blocks),
                    },
                    settings::accounts(config),
                )),
                timeout: config.http_server.request_timeout.duration(),
            }),
            None => None,
        };
        let accounts_prefix = login.as_ref().map(|login| login.prefix.as_str());
        let accounts = login.as_ref().map(|login| Arc::clone(&login.accounts));
        let api = ApiState {
            prefix: config.http_api.handler_prefix.clone(),
            keys: Arc::clone(&api_keys),
            insecure: config.http_api.insecure,
            publisher: publisher.clone(),
            hub: Arc::clone(&hub),
            limits: Arc::clone(&limits),
            topics: Arc::clone(&topics),
            upstream: upstream.clone(),
            metrics: metrics.clone(),
            clock: clock.clone(),
            node: node.clone(),
            body_bytes_max: config.http_server.request_body_max.bytes(),
            timeout: config.http_server.request_timeout.duration(),
            description: config.http_api.docs.then(|| openapi::document(&config.http_api.handler_prefix, accounts_prefix)),
        };
        let hooks = Hooks::new(config, &clock)?;
        let entrance = Arc::new(settings::entrance(config, &clock, &proxies, hooks.as_deref())?);
        let websocket = settings::websocket(config, &entrance);
        let routes = Routes {
            live,
            login: login.map(Arc::new),
            pages: Pages::new(&settings::pages(config)),
            mercure: mercure
                .clone()
                .map(|hub| settings::mercure_endpoints(config, hub, &publisher, accounts.clone(), &limits, &clock))
                .transpose()?,
            api: (!config.http_api.disabled).then(|| Arc::new(api)),
            readiness: readiness.clone(),
            state: state.clone(),
            debug_key: web::Data::new(DebugKey(Arc::clone(&api_keys))),
            health: path(config.health.enabled, &config.health.handler_prefix),
            ready: path(config.ready.enabled, &config.ready.handler_prefix),
            metrics_gate: web::Data::new(settings::metrics_gate(config)?),
            metrics: path(config.prometheus.enabled, &config.prometheus.handler_prefix),
            websockets: [&websocket.path, &websocket.uni_path].into_iter().flatten().cloned().collect(),
            streams: Arc::new(settings::streams(config, &entrance)),
            is_debug_served: config.debug.enabled,
        };
        let desk = Desk::new(DeskParts {
            clock: clock.clone(),
            hub: Arc::clone(&hub),
            topics: Arc::clone(&topics),
            publisher: publisher.clone(),
            store: Arc::clone(&store),
            audit,
            maintenance: Arc::clone(&maintenance),
            blocks: Arc::clone(&blocks),
            accounts,
            keyring: Keyring::new(Arc::clone(&store), clock.clone()),
            api_keys: Arc::clone(&api_keys),
            upstream: upstream.clone(),
            metrics: metrics.clone(),
            house: Arc::new(house),
            settings: AdminSettings {
                version: node.version,
                node: node.name,
                trace_payloads: config.operators.trace_payloads,
                api_methods: api::methods().collect(),
                heap: HeapProfiler::new(Path::new(&config.data_dir)),
            },
        });
        Ok(Arc::new(Self {
            gate: Arc::new(gate),
            topics,
            broker,
            published,
            history,
            api_keys,
            mercure,
            sessions: Shared {
                settings: Arc::new(settings::session(config, &node.uid)),
                publisher,
                tokens,
                subscription_tokens,
                hub: Arc::clone(&hub),
                blocks,
                limits,
                procedures: Arc::clone(&port) as _,
                hooks,
                events,
                maintenance,
                clock: clock.clone(),
            },
            hub,
            outbox: settings::outbox(config),
            websocket: Arc::new(websocket),
            clock,
            readiness,
            state,
            routes,
            upstream,
            feeds: threads::paced_arbiter("feeds", config.upstream.pool.coalesce.duration())?,
            desk: Arc::new(desk),
            port,
            operators: threads::arbiter("operators"),
            metrics,
            watchman: threads::arbiter("metrics"),
            draining,
            worker_indices: Mutex::default(),
        }))
    }

    /// The calling thread's worker, started if it is new. Several listeners share the threads of one pool, and so their workers.
    fn worker(self: &Arc<Self>) -> Rc<Worker> {
        thread_local! {
            static WORKER: RefCell<Option<(Rc<Worker>, WorkerIndex)>> = const { RefCell::new(None) };
        }
        WORKER.with_borrow_mut(|slot| {
            let (worker, _) = slot.get_or_insert_with(|| {
                let index = WorkerIndex::take(self);
                let worker = Worker::start(self.sessions.clone(), Fan::new(index.index, &self.topics, &self.clock), self.outbox.clone());
                self.draining.attend(&worker);
                (worker, index)
            });
            Rc::clone(worker)
        })
    }

    /// A hub to which nobody can sign in says once how that is changed.
    async fn say_how_to_add_users(&self, config: &Config) {
        let Some(login) = &self.routes.login else { return };
        match login.accounts.users(None, 1).await {
            Ok(users) if users.is_empty() && !config.demo.enabled => {
                log::info!("there are no accounts yet; `aether user add NAME --role admin` with this configuration makes the first one");
            }
            Ok(_) => {}
            Err(error) => log::warn!("accounts cannot be looked up: {:#}", anyhow::Error::from(error)),
        }
    }

    /// Says where canaries fly, if any are to, and makes the thread that they fly on.
    fn let_canaries_fly(&self, config: &Config, ways: Vec<Way>, workers: usize) -> Option<Arbiter> {
        let observatory = self.metrics.as_ref().filter(|_| config.metrics.canary_interval.is_positive())?;
        let path = self.websocket.path.clone()?;
        let thread = threads::arbiter("canaries");
        let field = Arc::new(Airfield {
            ways,
            path,
            roost: Arc::clone(&self.gate.roost),
            workers,
            is_draining: Arc::clone(&self.gate.is_draining),
            thread: thread.handle(),
            open: Arc::new(AtomicUsize::new(0)),
            #[cfg(feature = "test-hooks")]
            panics: std::sync::atomic::AtomicBool::new(false),
        });
        let _ = self.state.canaries.set(Arc::clone(&field));
        observatory.let_fly(field);
        Some(thread)
    }

    /// Feeds go on where the last hub with this store left them.
    async fn restore_feeds(&self, config: &Config, store: Arc<dyn Store>) {
        let workshop = FeedWorkshop::new(config, Arc::clone(&self.topics), raise_descriptor_limit());
        match self.upstream.keep(store, Arc::new(workshop)).await {
            Ok(0) => {}
            Ok(feeds) => log::info!("{feeds} feeds go on where they were"),
            Err(error) => log::warn!("feeds begin anew, what is stored of them cannot be read: {error}"),
        }
    }

    async fn stop_feeds(&self) {
        if let Some(pool) = self.state.upstream() {
            let _ = pool.send(crate::upstream::Stop).await;
        }
        self.feeds.stop();
    }
}

/// The demo feed, if it is wanted: served over HTTP and then read back like the feed of anybody else.
fn start_demo(config: &mut Config) -> anyhow::Result<Option<DemoFeed>> {
    if !config.demo.enabled {
        return Ok(None);
    }
    let address = config.demo.address.parse().map_err(|_| anyhow!("demo.address: \"{}\" is not an address with a port", config.demo.address))?;
    let feed = DemoFeed::start(&DemoSettings { address, interval: config.demo.interval.duration() }).context("cannot serve the demo feed")?;
    config.upstream.feeds.push(FeedConfig {
        name: DEMO_FEED.to_string(),
        url: feed.url(),
        channel: format!("{DEMO_FEED}:{{event}}"),
        ..FeedConfig::default()
    });
    Ok(Some(feed))
}

/// A worker's number. A worker thread that dies gives it back to the one that takes its place.
struct WorkerIndex {
    index: usize,
    house: Arc<House>,
}

impl WorkerIndex {
    fn take(house: &Arc<House>) -> Self {
        let mut taken = house.worker_indices.lock();
        let index = taken.iter().position(|is_taken| !is_taken).unwrap_or_else(|| {
            taken.push(false);
            taken.len() - 1
        });
        taken[index] = true;
        Self { index, house: Arc::clone(house) }
    }
}

impl Drop for WorkerIndex {
    fn drop(&mut self) {
        self.house.worker_indices.lock()[self.index] = false;
    }
}

/// One worker a core unless configured.
fn worker_count(config: &Config) -> usize {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    if config.http_server.workers == 0 { cores.min(WORKERS_MAX) } else { config.http_server.workers.min(WORKERS_MAX) }
}

/// As many descriptors as the system lets this process have; says how many that are.
fn raise_descriptor_limit() -> usize {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: both calls are given a whole rlimit.
    unsafe {
        if libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) != 0 {
            return 1_024;
        }
        let raised = libc::rlimit { rlim_cur: limit.rlim_max, ..limit };
        if libc::setrlimit(libc::RLIMIT_NOFILE, &raw const raised) == 0 {
            limit = raised;
        }
    }
    usize::try_from(limit.rlim_cur).unwrap_or(usize::MAX)
}

fn wants_second_port(config: &Config) -> bool {
    // Port 0 means none here, except where the other port is any free one too, as tests ask for.
    config.http_server.tls_port != 0 || (config.http_server.port == 0 && !config.http_server.tls.enabled)
}

/// The certificate, and what watches its files, if one is configured.
fn open_certificate(config: &Config, clock: &Clock) -> anyhow::Result<Option<(Arc<ReloadingResolver>, Arc<CertificateWatch>)>> {
    let tls = &config.http_server.tls;
    if tls.cert_pem_file.is_empty() && tls.key_pem_file.is_empty() {
        return Ok(None);
    }
    let paths = CertificatePaths { certificate: tls.cert_pem_file.clone().into(), key: tls.key_pem_file.clone().into() };
    let resolver = ReloadingResolver::open(paths, clock.clone())?;
    let watch = CertificateWatch::start(Arc::clone(&resolver), WatchTiming::default())?;
    Ok(Some((resolver, Arc::new(watch))))
}

async fn wait_until_ready(readiness: &Readiness) -> anyhow::Result<()> {
    const TRIES: usize = 50;
    let mut last = None;
    for _ in 0..TRIES {
        match readiness.check().await {
            Ok(()) => return Ok(()),
            Err(why) => last = Some(why),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Err(anyhow!("the hub does not become ready: {}", last.map_or_else(String::new, |why| why.to_string())))
}
