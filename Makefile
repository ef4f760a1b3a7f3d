# Two commands are enough for a newcomer: `make demo` and `make test`.
.PHONY: help demo test build bench bench-kustomize bench-scale soak clean

help: ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## A release, a rollback and a rejection in an embedded cluster, under traffic
	@scripts/tools build
	cargo run --quiet --bin turquoise -- demo $(ARGS)

test: ## Everything that CI runs: format, lints, all tests
	@scripts/tools test
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	cargo test --workspace

build: ## The binary, optimised: target/release/turquoise
	@scripts/tools build
	cargo build --release --bin turquoise

bench: ## Commit to live, and the daemon's memory, over 20 releases in the embedded cluster
	@scripts/tools build
	cargo build --release --package turquoise --package turquoise-bench --bins
	@built=$${CARGO_TARGET_DIR:-target}/release; $$built/bench-releases --turquoise $$built/turquoise $(ARGS)

bench-scale: ## 1, 100, 500 and 1,000 apps in 20 repositories: first look, at rest, all changed at once
	@scripts/tools build
	cargo build --release --package turquoise --package turquoise-bench --bins
	@built=$${CARGO_TARGET_DIR:-target}/release; $$built/bench-scale --turquoise $$built/turquoise $(ARGS)

bench-kustomize: ## Rendering compared with kubectl's on generated trees: ratio, growth, memory
	@scripts/tools test
	cargo build --release --package turquoise --package turquoise-bench-kustomize --bins
	@built=$${CARGO_TARGET_DIR:-target}/release; $$built/bench-kustomize --turquoise $$built/turquoise $(ARGS)

soak: ## The property test with 1,000,000 schedules
	@scripts/tools test
	TURQUOISE_SOAK_CASES=1000000 cargo test --release --test it -- property --nocapture

clean: ## Build results
	cargo clean
