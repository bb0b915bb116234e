//! The program of `tests/tools/kubernetes/cel`: an API server's CEL without the server.

use std::env;
use std::fs::File;
use std::io::{BufWriter, Seek, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::Value;

/// Where the program is.
pub struct ApiServer(PathBuf);

impl ApiServer {
    /// The program in `KUBERNETES_CEL`, if that is set.
    pub fn from_environment() -> Option<Self> {
        env::var_os("KUBERNETES_CEL").filter(|path| !path.is_empty()).map(|path| Self(path.into()))
    }

    /// Its answers, one for each object.
    pub fn ask<'a>(&self, objects: impl IntoIterator<Item = &'a Value>) -> Vec<Value> {
        let mut questions = 0;
        let mut file = BufWriter::new(tempfile::tempfile().unwrap());
        for object in objects {
            writeln!(file, "{object}").unwrap();
            questions += 1;
        }
        let mut file: File = file.into_inner().unwrap();
        file.rewind().unwrap();
        let output = Command::new(&self.0).stdin(file).stderr(Stdio::piped()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let answers: Vec<Value> =
            serde_json::Deserializer::from_slice(&output.stdout).into_iter().map(Result::unwrap).collect();
        assert_eq!(answers.len(), questions);
        answers
    }
}
