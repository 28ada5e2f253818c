//! `highwater serve`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::{EXIT_DONE, EXIT_FAILED, output};
use crate::app::App;
use crate::model::{Code, Told};
use crate::server;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The address to listen on; the port is `server.listen_port` of the configuration, or PORT.
    #[arg(long, default_value_t = IpAddr::V4(Ipv4Addr::UNSPECIFIED), value_name = "IP")]
    listen: IpAddr,
}

pub(super) async fn run(app: Arc<App>, arguments: Arguments, stop: CancellationToken) -> u8 {
    let address = SocketAddr::new(arguments.listen, app.config().server.listen_port);
    match server::serve(app, address, stop).await {
        Ok(()) => EXIT_DONE,
        Err(error) => {
            let text = format!("cannot listen on {address}: {error}; choose another port with PORT");
            output::fault(&Told::new(Code::Listen, &text));
            EXIT_FAILED
        }
    }
}
