//! The status page: what an engineer wants to see at a glance, on a phone too. It reads, and offers nothing to click
//! that would change anything.

use askama::Template;

use crate::core::colour::Colour;
use crate::core::report::Phase;
use crate::core::status::{AppStatus, ColourStatus};

#[derive(Template)]
#[template(path = "status.html")]
struct Page<'a> {
    apps: &'a [AppStatus],
}

impl Page<'_> {
    fn colours<'a>(&self, app: &'a AppStatus) -> [(Colour, &'a ColourStatus); 2] {
        Colour::BOTH.map(|colour| (colour, &app.colours[colour]))
    }

    fn is_live(&self, app: &AppStatus, colour: &Colour) -> bool {
        app.serving.as_ref() == Some(colour)
    }

    fn phase(&self, app: &AppStatus) -> String {
        app.phase.as_str().replace('_', " ")
    }

    fn is_blocked(&self, app: &AppStatus) -> bool {
        app.phase == Phase::Blocked
    }

    fn waiting(&self, app: &AppStatus) -> Vec<String> {
        app.waiting.iter().map(ToString::to_string).collect()
    }
}

/// The page for all apps.
///
/// # Errors
/// The template cannot be rendered.
pub(super) fn render(apps: &[AppStatus]) -> Result<String, askama::Error> {
    Page { apps }.render()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::ids::AppName;
    use crate::core::text::OneLine;

    #[test]
    fn text_from_outside_is_escaped() {
        let mut app = AppStatus::unknown(AppName::new("shop"), "default".into(), "r".into(), "main".into());
        app.error = Some(OneLine::new("<script>alert(1)</script>"));
        let html = render(&[app]).expect("a page");
        assert!(html.contains("shop") && !html.contains("<script>"), "{html}");
    }
}
