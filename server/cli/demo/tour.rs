//! What the demo says one can try: lines that work as they stand.

use std::io::Write;
use std::net::SocketAddr;

use anstyle::{AnsiColor, Style};

pub(super) fn print(grpc: SocketAddr, admin: SocketAddr, sandbox: SocketAddr) {
    let (bold, command) = (Style::new().bold(), AnsiColor::Cyan.on_default());
    let server = if grpc.port() == 50051 { String::new() } else { format!(" --server {grpc}") };
    let call = format!("grpcurl -plaintext {grpc}");
    let with = |data: &str, method: &str| format!("grpcurl -plaintext -d '{data}' {grpc} oktaconnector.v1.{method}");
    let steps = [
        ("Follow the events of this org, as they happen:", format!("okta-connector tail{server} --from earliest")),
        (
            "The same over gRPC, three of them:",
            with(r#"{"position":"START_POSITION_EARLIEST","stop_after_events":3}"#, "EventService/SubscribeEvents"),
        ),
        ("What there is to call:", format!("{call} list")),
        ("What a call means:", format!("{call} describe oktaconnector.v1.UserService.CreateUser")),
        ("Find users:", with(r#"{"query":"a"}"#, "UserService/SearchUsers")),
        (
            "Create one, and watch the event arrive:",
            with(
                r#"{"profile":{"first_name":"Isaac","last_name":"Brock","email":"isaac@acme.example","login":"isaac@acme.example"}}"#,
                "UserService/CreateUser",
            ),
        ),
        ("Deactivate that user:", with(r#"{"id_or_login":"isaac@acme.example"}"#, "UserService/DeactivateUser")),
        ("Whether the connection works:", format!("okta-connector connections{server} test default")),
        ("What the server counts:", format!("curl -s http://{admin}/metrics")),
    ];
    let mut out = anstream::stderr();
    let _ = writeln!(
        out,
        "\n{bold}An Okta org (sandbox, http://{sandbox}) and a server (gRPC, {grpc}) are running.{bold:#}"
    );
    let _ = writeln!(out, "Somebody joins, moves or leaves every few seconds. In another terminal:\n");
    for (what, line) in steps {
        let _ = writeln!(out, "  {what}\n    {command}{line}{command:#}\n");
    }
    let _ = writeln!(out, "Ctrl-C stops both; nothing is kept.\n");
}
