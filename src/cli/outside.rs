//! The flags of `run` about what reaches turquoise from outside, and what turquoise reaches.

use clap::Args;

use crate::core::grants::SecretSource;
use crate::core::outside::{HookAccess, Outside};

#[derive(Debug, Args)]
pub(super) struct OutsideArgs {
    /// Where people reach the status page: for links in messages, and as a name that requests may carry
    #[arg(long, env = "TURQUOISE_PUBLIC_URL", value_name = "URL")]
    public_url: Option<String>,
    /// The page of a commit, with `{commit}` in place of its id: for links in messages
    #[arg(long, env = "TURQUOISE_COMMIT_URL", value_name = "TEMPLATE", value_parser = template)]
    pub(super) commit_url: Option<String>,
    /// Another name that requests may carry in their `Host`; may be repeated
    #[arg(long = "server-name", env = "TURQUOISE_SERVER_NAME", value_name = "NAME", value_delimiter = ',')]
    server_names: Vec<String>,
    /// Where the push hook's secret is, `file:PATH` or `env:VARIABLE`; needed when listening beyond loopback
    #[arg(long, env = "TURQUOISE_HOOK_SECRET", value_name = "SOURCE")]
    hook_secret: Option<SecretSource>,
    /// Have no push hook
    #[arg(long, env = "TURQUOISE_NO_PUSH_HOOK", conflicts_with = "hook_secret")]
    no_push_hook: bool,
}

impl OutsideArgs {
    pub(super) fn server(&self) -> Outside {
        Outside {
            public_url: self.public_url.clone(),
            names: self.server_names.iter().cloned().collect(),
            hook: match &self.hook_secret {
                _ if self.no_push_hook => HookAccess::Off,
                Some(source) => HookAccess::Signed(source.clone()),
                None => HookAccess::Open,
            },
        }
    }
}

fn template(text: &str) -> Result<String, String> {
    let web = text.starts_with("http://") || text.starts_with("https://");
    if web && text.contains("{commit}") {
        Ok(text.to_owned())
    } else {
        Err("write a URL with `{commit}` in place of the commit's id".to_owned())
    }
}
