//! Headless Chromium, asked over its DevTools protocol: JSON messages that end
//! with a zero byte, through a pipe.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

/// A browser with one page.
pub struct Browser {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    session: String,
    number: u64,
    complaints: Vec<String>,
    requests: Vec<String>,
    loaded: bool,
    _profile: tempfile::TempDir,
}

/// Where Chromium is; `None` if it is not installed. Where `CI` is set it must be.
fn program() -> Option<&'static str> {
    let found = ["chromium", "chromium-browser", "google-chrome"];
    let found = found.into_iter().find(|name| {
        let version = Command::new(name).arg("--version").output();
        version.is_ok_and(|o| o.status.success())
    });
    assert!(
        found.is_some() || std::env::var_os("CI").is_none(),
        "CI is set and Chromium is missing"
    );
    found
}

impl Browser {
    /// Starts it; `None` without Chromium, with a line that says so.
    pub fn start() -> Option<Self> {
        let Some(program) = program() else {
            println!("skipped: Chromium is not installed");
            return None;
        };
        let profile = tempfile::tempdir().expect("a folder");
        // The protocol speaks through descriptors 3 and 4.
        let mut child = Command::new("sh")
            .args([
                "-c",
                "exec \"$@\" 3<&0 4>&1 </dev/null >/dev/null 2>&1",
                "sh",
                program,
            ])
            .args([
                "--headless=new",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
            ])
            .args([
                "--remote-debugging-pipe",
                "--no-first-run",
                "--hide-scrollbars",
            ])
            .args([
                "--disable-background-networking",
                "--disable-component-update",
            ])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("Chromium starts");
        let to = child.stdin.take().expect("a pipe");
        let from = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut browser = Self {
            child,
            to,
            from,
            session: String::new(),
            number: 0,
            complaints: Vec::new(),
            requests: Vec::new(),
            loaded: false,
            _profile: profile,
        };
        browser.attach();
        Some(browser)
    }

    fn attach(&mut self) {
        let target = self.call("Target.createTarget", json!({"url": "about:blank"}));
        let attach = json!({"targetId": target["targetId"], "flatten": true});
        let session = self.call("Target.attachToTarget", attach);
        self.session = String::from(session["sessionId"].as_str().expect("a session"));
        for domain in ["Page", "Runtime", "Log", "Network", "Security"] {
            self.call(&format!("{domain}.enable"), json!({}));
        }
    }

    fn read(&mut self) -> Value {
        let mut bytes = Vec::new();
        self.from
            .read_until(0, &mut bytes)
            .expect("Chromium answers");
        assert!(!bytes.is_empty(), "Chromium has ended");
        bytes.pop();
        serde_json::from_slice(&bytes).expect("the answer is JSON")
    }

    /// Calls a method of the protocol.
    pub fn call(&mut self, method: &str, parameters: Value) -> Value {
        self.number += 1;
        let mut message = json!({"id": self.number, "method": method, "params": parameters});
        if !self.session.is_empty() {
            message["sessionId"] = json!(self.session);
        }
        let mut bytes = message.to_string().into_bytes();
        bytes.push(0);
        self.to.write_all(&bytes).expect("Chromium listens");
        loop {
            let answer = self.read();
            if answer["id"] == json!(self.number) {
                assert!(answer["error"].is_null(), "{method}: {}", answer["error"]);
                return answer["result"].clone();
            }
            self.event(&answer);
        }
    }

    fn event(&mut self, event: &Value) {
        let p = &event["params"];
        match event["method"].as_str().unwrap_or_default() {
            "Page.loadEventFired" => self.loaded = true,
            "Runtime.exceptionThrown" => self.complaints.push(p["exceptionDetails"].to_string()),
            "Log.entryAdded" => self.complaints.push(p["entry"].to_string()),
            "Runtime.consoleAPICalled" if p["type"] == "error" || p["type"] == "warning" => {
                self.complaints.push(p["args"].to_string());
            }
            "Network.requestWillBeSent" => {
                let url = p["request"]["url"].as_str().unwrap_or_default();
                if !url.starts_with("data:") && !url.starts_with("blob:") {
                    self.requests.push(String::from(url));
                }
            }
            _ => {}
        }
    }

    /// Opens a file and waits until it is there. What was complained about
    /// before is forgotten.
    pub fn open(&mut self, file: &Path, hash: &str) {
        self.call("Page.navigate", json!({"url": "about:blank"}));
        self.settle();
        (self.loaded, self.complaints, self.requests) = (false, Vec::new(), Vec::new());
        let url = format!("file://{}{hash}", file.display());
        self.call("Page.navigate", json!({"url": url}));
        while !self.loaded {
            let event = self.read();
            self.event(&event);
        }
        self.settle();
    }

    /// What a script says; promises are waited for.
    pub fn evaluate(&mut self, script: &str) -> Value {
        let asked = json!({"expression": script, "awaitPromise": true, "returnByValue": true});
        let answer = self.call("Runtime.evaluate", asked);
        let fault = &answer["exceptionDetails"];
        assert!(fault.is_null(), "{script}: {fault}");
        answer["result"]["value"].clone()
    }

    /// Waits until everything is drawn.
    pub fn settle(&mut self) {
        self.evaluate("new Promise(r => setTimeout(() => requestAnimationFrame(() => requestAnimationFrame(() => r(1))), 60))");
    }

    /// Presses a key: a character, or a name like `ArrowDown`; `Control+k`, `Shift+Tab`.
    pub fn key(&mut self, key: &str) {
        let (modifiers, key) = match key.split_once('+') {
            Some(("Control", key)) => (2, key),
            Some(("Shift", key)) => (8, key),
            _ => (0, key),
        };
        let code = match key {
            "Tab" => 9,
            "Enter" => 13,
            "Escape" => 27,
            "PageUp" => 33,
            "PageDown" => 34,
            "End" => 35,
            "Home" => 36,
            "ArrowLeft" => 37,
            "ArrowUp" => 38,
            "ArrowRight" => 39,
            "ArrowDown" => 40,
            other => other
                .bytes()
                .next()
                .map_or(0, |b| u32::from(b.to_ascii_uppercase())),
        };
        let text = match key {
            "Enter" => "\r",
            one if one.chars().count() == 1 && modifiers != 2 => one,
            _ => "",
        };
        let mut down = json!({"type": "keyDown", "key": key, "windowsVirtualKeyCode": code, "modifiers": modifiers});
        if !text.is_empty() {
            down["text"] = json!(text);
        }
        self.call("Input.dispatchKeyEvent", down);
        let up = json!({"type": "keyUp", "key": key, "windowsVirtualKeyCode": code, "modifiers": modifiers});
        self.call("Input.dispatchKeyEvent", up);
        self.settle();
    }

    /// Sets the window's size.
    pub fn size(&mut self, width: u32, height: u32) {
        let size =
            json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.call("Emulation.setDeviceMetricsOverride", size);
        self.settle();
    }

    /// Sets the medium (`print`, or empty for the screen) and preferences.
    pub fn media(&mut self, medium: &str, features: &[(&str, &str)]) {
        let features: Vec<Value> = features
            .iter()
            .map(|(name, value)| json!({"name": name, "value": value}))
            .collect();
        self.call(
            "Emulation.setEmulatedMedia",
            json!({"media": medium, "features": features}),
        );
        self.settle();
    }

    /// Puts a picture of the window into a file.
    pub fn screenshot(&mut self, file: &Path) {
        let shot = self.call("Page.captureScreenshot", json!({"format": "png"}));
        let coded = shot["data"].as_str().expect("a picture");
        std::fs::write(file, decode(coded)).expect("the picture is written");
    }

    /// Errors and warnings of the page, its content policy, and the browser.
    pub fn complaints(&mut self) -> Vec<String> {
        self.settle();
        std::mem::take(&mut self.complaints)
    }

    /// Addresses that were asked for since the page was opened.
    pub fn requests(&self) -> &[String] {
        &self.requests
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// RFC 4648, section 4, backwards.
pub fn decode(coded: &str) -> Vec<u8> {
    let digit = |c: u8| match c {
        b'A'..=b'Z' => c - b'A',
        b'a'..=b'z' => c - b'a' + 26,
        b'0'..=b'9' => c - b'0' + 52,
        b'+' => 62,
        _ => 63,
    };
    let mut bytes = Vec::with_capacity(coded.len() / 4 * 3);
    for four in coded.as_bytes().chunks(4) {
        let kept = four.iter().filter(|c| **c != b'=').count();
        let bits = four.iter().fold(0u32, |b, c| b << 6 | u32::from(digit(*c)));
        bytes.extend(&bits.to_be_bytes()[1..kept]);
    }
    bytes
}
