//! Jupyter's connection file: where the kernel listens, and the key of the signatures
//! (<https://jupyter-client.readthedocs.io/en/stable/kernels.html#connection-files>).

use std::path::Path;

use serde_json::Value;

/// What the connection file says.
pub struct Connection {
    /// Addresses by the name of their channel.
    content: Value,
}

impl Connection {
    /// Reads the file.
    ///
    /// # Errors
    ///
    /// One line: it cannot be read, or is something else.
    pub fn read(file: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(file)
            .map_err(|error| format!("cannot read {}: {error}", file.display()))?;
        serde_json::from_str(&text)
            .map(|content| Self { content })
            .map_err(|error| format!("{} is not a connection file: {error}", file.display()))
    }

    /// The address of a socket, such as "shell_port", as ZeroMQ writes it.
    pub fn endpoint(&self, port: &str) -> String {
        let transport = self.content["transport"].as_str().unwrap_or_default();
        format!("{transport}://{}", self.address(port))
    }

    /// The same without the transport.
    pub fn address(&self, port: &str) -> String {
        let ip = self.content["ip"].as_str().unwrap_or_default();
        format!("{ip}:{}", self.content[port])
    }

    /// What signs messages; empty where they are not signed.
    pub fn key(&self) -> &str {
        self.content["key"].as_str().unwrap_or_default()
    }
}
