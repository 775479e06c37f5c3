//! This project's service on one multi-threaded runtime, which every connection shares: what a runtime a core is
//! to be compared with.

use std::sync::Arc;

use countersign::{
    app::dev::Folder,
    authority::Authority,
    clock::Clock,
    config::Config,
    grpc::{Gate, Session, Transport, connection::serve_connection},
    keystore,
    metrics::Metrics,
    policy::Caller,
};
use tokio::{net::TcpListener, sync::watch};

#[tokio::main]
pub async fn serve() {
    let clock = Clock::system();
    let folder = Folder::prepare(None, clock.now()).unwrap();
    let config = Config::load(&folder.config_file()).unwrap();
    let loaded = keystore::load(&config.keyring).unwrap();
    let state = config.build(loaded.keys, None).unwrap();
    let metrics = Arc::new(Metrics::new(clock.clone()));
    let counters = Arc::clone(&metrics.transport);
    let authority = Arc::new(Authority::new(clock, state, metrics));
    let transport = Transport::new(authority, config.limits, false, counters);

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("grpc http://{}\nready", listener.local_addr().unwrap());
    // Held, so that nothing drains.
    let (_drain, draining) = watch::channel(false);
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        let session = Session::new(&transport, Caller::Named("dev-tcp".into()), Gate::LoopbackTcp);
        tokio::spawn(serve_connection(stream, session, draining.clone()));
    }
}
