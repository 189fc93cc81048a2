//! The libraries that fitted the models, in a Python process that times a window when it is asked to.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::{cell::RefCell, rc::Rc};

use super::{Answer, Lane};
use crate::Fault;

pub struct Python {
    child: Child,
    requests: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    pub version: String,
}

impl Python {
    pub fn start(python: &Path, script: &Path) -> Result<Rc<RefCell<Self>>, Fault> {
        let mut command = Command::new(python);
        command.arg(script).stdin(Stdio::piped()).stdout(Stdio::piped());
        for threads in ["OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"] {
            command.env(threads, "1");
        }
        let mut child = command.spawn()?;
        let requests = child.stdin.take();
        let answers = BufReader::new(child.stdout.take().ok_or("no pipe to Python")?);
        let mut python = Self { child, requests, answers, version: String::new() };
        let hello = python.line()?;
        python.version = hello.strip_prefix("ready ").ok_or("the Python side did not start")?.to_owned();
        Ok(Rc::new(RefCell::new(python)))
    }

    fn line(&mut self) -> Result<String, Fault> {
        let mut line = String::new();
        if self.answers.read_line(&mut line)? == 0 {
            return Err("the Python side ended".into());
        }
        Ok(line.trim().to_owned())
    }

    fn median_ns(&mut self, pickle: &Path, batch: usize, seconds: f64) -> Result<f64, Fault> {
        let requests = self.requests.as_mut().ok_or("no pipe to Python")?;
        writeln!(requests, "{}\t{batch}\t{seconds}", pickle.display())?;
        Ok(self.line()?.parse()?)
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        // Its loop ends with its input.
        drop(self.requests.take());
        let _ = self.child.wait();
    }
}

pub struct Library {
    pub python: Rc<RefCell<Python>>,
    pub pickle: PathBuf,
    pub batch: usize,
}

impl Lane for Library {
    fn median_ns(&mut self, seconds: f64) -> Result<f64, Fault> {
        self.python.borrow_mut().median_ns(&self.pickle, self.batch, seconds)
    }

    fn answers(&mut self) -> Result<Vec<Answer>, Fault> {
        Ok(Vec::new())
    }
}
