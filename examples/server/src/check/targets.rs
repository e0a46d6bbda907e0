//! Files of targets, which `file_sd_configs` names: a list of `{targets: […], labels: {…}}` in YAML, of which JSON is a part.

use kymo_scrape::config::Config;

use super::Checked;
use super::source::read_text;
use crate::output::Fault;

/// A configuration in which the list stands where the same list stands inline; so one reader serves both. The rule says that
/// addresses may be rewritten, as that is for the job to know.
const AROUND: &str = "scrape_configs:\n- job_name: targets\n  relabel_configs: [{target_label: __address__, replacement: a}]\n  static_configs:\n";
const LINES_BEFORE: usize = 4;
const INDENT: &str = "   ";
const PATH_BEFORE: &str = "scrape_configs[0].static_configs";

/// Checks one file.
pub(super) fn check_file(path: &str) -> Checked {
    let mut checked = Checked::new("targets", path);
    let text = match read_text(path) {
        Ok(text) => text,
        Err(fault) => {
            checked.faults.push(fault);
            return checked;
        }
    };
    let mut config = AROUND.to_owned();
    for line in text.lines().filter(|line| !matches!(line.trim_end(), "---" | "...")) {
        config.push_str(INDENT);
        config.push_str(line);
        config.push('\n');
    }
    match Config::parse(&config, path) {
        Ok(config) => {
            let groups = config.jobs().flat_map(|job| &job.discovery.static_configs);
            let count = groups.map(|group| group.targets.len()).sum();
            checked.counts = vec![("targets", count)];
            checked.success.push(format!("  SUCCESS: {count} targets found"));
        }
        Err(error) => {
            for fault in error.faults() {
                let message = match fault.path.strip_prefix(PATH_BEFORE) {
                    None | Some("") => fault.message.clone(),
                    Some(place) => format!("{place}: {}", fault.message),
                };
                let line = fault.line.saturating_sub(LINES_BEFORE).max(1);
                let column = fault.column.saturating_sub(INDENT.len()).max(1);
                checked.faults.push(Fault::at(path, text.as_bytes(), line, column, message));
            }
        }
    }
    checked
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, text: &str, expected: &[&str]) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(name).display().to_string();
        std::fs::write(&path, text).unwrap();
        let checked = check_file(&path);
        let texts: Vec<&str> = checked.faults.iter().map(|f| f.text.strip_prefix(&path).unwrap()).collect();
        assert_eq!(texts.len(), expected.len(), "{text}: {texts:#?}");
        for (text, expected) in texts.iter().zip(expected) {
            assert!(text.contains(expected), "{text} contains {expected}");
        }
    }

    #[test]
    fn files_of_targets() {
        check("a.json", "[]", &[]);
        check("a.json", "[\n  {\"targets\": [\"a:1\", \"b\"], \"labels\": {\"x\": \"y\"}}\n]\n", &[]);
        check("a.yml", "---\n- targets: [a:1, 'http://b']\n  labels:\n    x: y\n# end\n", &[]);
        check("a.json", "[{\"targetsx\": []}]", &[":1:3: [0].targetsx: unknown key"]);
        check(
            "a.yml",
            "- targets: [a]\n- targets: [b, {}]\n- labels: 5\n",
            &[":2:16: [1].targets[1]", ":3:11: [2].labels"],
        );
        check("a.yml", "targets: [a]\n", &[":1:"]);
        check("a.yml", "- targets: [a\n", &[":"]);
    }
}
