//! The program of the folder `apiserver`: an API server's CEL without the server.

use std::env;
use std::fs::File;
use std::io::{BufWriter, Seek, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::Value;

/// Where the program is.
pub struct ApiServer(PathBuf);

/// Why there is no program.
pub enum Missing {
    /// It could not be built here, and whoever started the tests knows: `KUBERNETES_CEL=none`.
    Known,
    /// Nobody said where it is.
    Forgotten,
}

impl ApiServer {
    /// The program in `KUBERNETES_CEL`.
    pub fn from_environment() -> Result<Self, Missing> {
        match env::var_os("KUBERNETES_CEL").filter(|path| !path.is_empty()) {
            Some(none) if none == "none" => Err(Missing::Known),
            Some(path) => Ok(Self(path.into())),
            None => Err(Missing::Forgotten),
        }
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
