//! The commands of the real binary that do their work and end: check, user, completions, man.

use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// Runs the binary in `directory` with `stdin`, without a terminal.
fn run(directory: &Path, line: &str, stdin: &str) -> io::Result<Output> {
    let mut child = Command::new(env!("CARGO_BIN_EXE_pillarbox"))
        .args(line.split(' '))
        .current_dir(directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    if let Some(mut input) = child.stdin.take() {
        // A command that does not read may be gone before all is written.
        input.write_all(stdin.as_bytes()).unwrap_or_default();
    }
    child.wait_with_output()
}

/// Exit code, standard output and standard error.
fn told(output: &Output) -> (Option<i32>, String, String) {
    (
        output.status.code(),
        String::from_utf8_lossy(&output.stdout).into_owned(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    )
}

#[test]
fn an_account_is_made_and_the_result_is_sound() -> io::Result<()> {
    let dir = tempfile::tempdir()?;
    let text = format!(
        "mail = \"{}/{{domain}}/{{local}}\"\nusers = \"users\"\nstate_dir = \".\"\n[auth]\nargon2_memory = \"8 KiB\"\n\
         [[listeners]]\nprotocol = \"pop3\"\naddress = \"127.0.0.1:0\"\ntls = \"none\"\nplaintext_auth = true\n",
        dir.path().display()
    );
    fs::write(dir.path().join("p.toml"), text)?;
    let add = run(
        dir.path(),
        "user add ann@example.org --stdin -c p.toml",
        "secret\n",
    )?;
    let said = "added ann@example.org to users\n".to_owned();
    assert_eq!(told(&add), (Some(0), said, String::new()));
    assert!(
        fs::read_to_string(dir.path().join("users"))?.starts_with("ann@example.org:{ARGON2ID}$")
    );
    let list = run(dir.path(), "user list --users users", "")?;
    let listed = "ann@example.org\targon2id scram-sha-256\n".to_owned();
    assert_eq!(told(&list), (Some(0), listed, String::new()));
    let check = run(dir.path(), "check --config p.toml", "")?;
    let said = "p.toml: everything is fine\n".to_owned();
    assert_eq!(told(&check), (Some(0), said, String::new()));
    Ok(())
}

#[test]
fn quotas_are_shown_and_recalculated() -> io::Result<()> {
    let dir = tempfile::tempdir()?;
    let text = format!(
        "mail = \"{}/mail/{{local}}\"\nusers = \"users\"\n\
         [quota]\nstorage = \"2 KiB\"\nmessages = 10\nmaildirsize = true\n\
         [[quota.users]]\nusers = [\"bob\"]\nstorage = 0\nmessages = 0\n",
        dir.path().display()
    );
    fs::write(dir.path().join("p.toml"), text)?;
    fs::write(
        dir.path().join("users"),
        "ann:{PLAIN}x\nbob:{PLAIN}x\ncy:{PLAIN}x\n",
    )?;
    for (user, octets) in [("ann", 3000), ("bob", 1500)] {
        let root = dir.path().join("mail").join(user);
        for place in ["cur", "new", "tmp"] {
            fs::create_dir_all(root.join(place))?;
        }
        fs::write(root.join("new/1.a.host"), "x".repeat(octets))?;
    }
    let show = run(dir.path(), "quota show -c p.toml", "")?;
    let table = "ACCOUNT  STORAGE    LIMIT  MESSAGES  LIMIT  LIMITS FROM\n\
                 ann      2.9 KiB  2.0 KiB         1     10  configuration  over\n\
                 bob      1.4 KiB     none         1   none  configuration\n";
    assert_eq!(told(&show), (Some(0), table.to_owned(), String::new()));
    let json = run(dir.path(), "quota show --json -c p.toml bob", "")?;
    let said = "[{\"user\":\"bob\",\"storage\":1500,\"storage_limit\":null,\"messages\":1,\
                \"messages_limit\":null,\"limits_from\":\"configuration\",\"exceeded\":false}]\n";
    assert_eq!(told(&json), (Some(0), said.to_owned(), String::new()));
    // What was kept may say anything.
    let ann = dir.path().join("mail/ann");
    fs::write(ann.join("pillarbox.quota"), "nonsense")?;
    fs::write(ann.join("maildirsize"), "2048S,10C\n7 7\n")?;
    let again = run(dir.path(), "quota recalculate -c p.toml ann", "")?;
    assert_eq!(told(&again).0, Some(0), "{again:?}");
    assert!(told(&again).1.contains("\nann      2.9 KiB  2.0 KiB"));
    assert_eq!(
        fs::read_to_string(ann.join("maildirsize"))?,
        "2048S,10C\n3000 1\n"
    );
    let nobody = run(dir.path(), "quota show -c p.toml dan", "")?;
    let complaint = "pillarbox: dan is not in users\n";
    assert_eq!(
        told(&nobody),
        (Some(1), String::new(), complaint.to_owned())
    );
    Ok(())
}

#[test]
fn mistakes_fail_check_and_serve_alike() -> io::Result<()> {
    let dir = tempfile::tempdir()?;
    fs::write(
        dir.path().join("p.toml"),
        "usres = \"users\"\n[limits]\nnesting = 3\n",
    )?;
    let check = run(dir.path(), "check -c p.toml", "")?;
    let serve = run(dir.path(), "serve -c p.toml", "")?;
    let (code, shown, _) = told(&check);
    assert_eq!(code, Some(1));
    assert!(
        shown.starts_with(
            "error: p.toml:1: unknown key `usres`\n  fix: write `users`\n\
             error: p.toml:3: `nesting` is out of range\n  fix: write a number from 10 to 1000\n"
        ),
        "{shown}"
    );
    let (code, _, shown) = told(&serve);
    assert_eq!(code, Some(1));
    assert!(
        shown.starts_with("error: p.toml:1: unknown key `usres`\n  fix: write `users`\n"),
        "{shown}"
    );
    Ok(())
}

#[test]
fn without_a_terminal_a_password_is_not_asked_for() -> io::Result<()> {
    let dir = tempfile::tempdir()?;
    let (code, _, shown) = told(&run(dir.path(), "user add ann --users users", "secret\n")?);
    assert_eq!(code, Some(1));
    assert_eq!(
        shown,
        "pillarbox: there is no terminal to ask for the password; give it on standard input with --stdin\n"
    );
    assert!(!dir.path().join("users").exists());
    Ok(())
}

#[test]
fn names_with_white_space_are_refused() -> io::Result<()> {
    let dir = tempfile::tempdir()?;
    let output = Command::new(env!("CARGO_BIN_EXE_pillarbox"))
        .args([
            "user",
            "add",
            "a b@example.org",
            "--users",
            "users",
            "--stdin",
        ])
        .current_dir(dir.path())
        .stdin(Stdio::null())
        .output()?;
    let said = "pillarbox: \"a b@example.org\" cannot be an account: name holds white space\n";
    assert_eq!(told(&output), (Some(1), String::new(), said.to_owned()));
    assert!(!dir.path().join("users").exists());
    Ok(())
}

#[test]
fn a_file_in_the_place_of_the_mail_directory_is_told() -> io::Result<()> {
    let dir = tempfile::tempdir()?;
    fs::write(dir.path().join("notes"), "")?;
    for path in ["notes", "notes/mail"] {
        let (code, _, shown) = told(&run(
            dir.path(),
            &format!("dev --port-base 0 --dir {path}"),
            "",
        )?);
        assert_eq!(code, Some(1));
        assert!(
            shown.contains(&format!("mail directory {path}: "))
                && shown.contains("(`--dir` takes a directory, or a path where one can be made)"),
            "{shown}"
        );
    }
    Ok(())
}

#[test]
fn a_malformed_log_filter_names_its_variable() -> io::Result<()> {
    let dir = tempfile::tempdir()?;
    let output = Command::new(env!("CARGO_BIN_EXE_pillarbox"))
        .args(["dev", "--port-base", "0"])
        .current_dir(dir.path())
        .env("PILLARBOX_LOG", "nonsense=foo")
        .output()?;
    let (code, _, shown) = told(&output);
    assert_eq!(code, Some(1));
    assert!(
        shown.starts_with("pillarbox: PILLARBOX_LOG in the environment: "),
        "{shown}"
    );
    Ok(())
}

#[test]
fn completions_and_manual_are_printed() -> io::Result<()> {
    let dir = tempfile::tempdir()?;
    for (line, word) in [
        ("completions bash", "_pillarbox()"),
        ("man", ".TH pillarbox"),
    ] {
        let (code, shown, _) = told(&run(dir.path(), line, "")?);
        assert_eq!(code, Some(0));
        assert!(shown.contains(word), "{line}");
    }
    Ok(())
}
