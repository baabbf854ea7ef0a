//! Serves an empty cluster until it is interrupted, and prints a kubeconfig: for trying by hand what applies objects.

use kubernetes_double::Double;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let port = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or_default();
    let double = Double::start_on(port).await;
    #[expect(clippy::print_stdout, reason = "the kubeconfig is the program's answer")]
    {
        println!("{}", double.kubeconfig());
    }
    std::future::pending::<()>().await;
}
