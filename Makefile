# Two commands are enough for a newcomer: `make demo` and `make test`.
.PHONY: help demo test page-test build bench bench-kustomize bench-scale bench-e2e fuzz soak cluster cluster-down e2e e2e-core e2e-sabotage differences images clean

help: ## This list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

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

bench-e2e: ## 20 releases and 1, 100 and 500 apps on a real Kubernetes, beside a bare client: appended to bench/RESULTS.md
	@scripts/tools build
	@e2e/bench $(ARGS)

bench-kustomize: ## Rendering compared with kubectl's on generated trees: ratio, growth, memory
	@scripts/tools test
	cargo build --release --package turquoise --package turquoise-bench-kustomize --bins
	@built=$${CARGO_TARGET_DIR:-target}/release; $$built/bench-kustomize --turquoise $$built/turquoise $(ARGS)

page-test: ## The status page in a real Chromium: every state, phone and desk, light and dark
	@scripts/tools page
	cargo build --package turquoise --example gallery
	@built=$${CARGO_TARGET_DIR:-target}/debug; scripts/page-test $$built/examples/gallery $(ARGS)

SECONDS_EACH = $(if $(filter command line,$(origin SECONDS)),$(SECONDS),600)
fuzz: ## The renderer's fuzz targets, one after the other, SECONDS=600 each
	@scripts/tools fuzz
	# The sanitizer's flags are not stable yet, and a stable compiler takes them when it is told to.
	@for target in yaml kustomization strategic_merge json_patch names edit tree; do \
	  echo "fuzz $$target"; mkdir -p crates/kustomize/fuzz/corpus/$$target; \
	  (cd crates/kustomize && RUSTC_BOOTSTRAP=1 cargo fuzz run --fuzz-dir fuzz $$target fuzz/corpus/$$target fuzz/seeds/$$target -- \
	    -max_total_time=$(SECONDS_EACH) -timeout=10 -rss_limit_mb=2048 -max_len=16384 -print_final_stats=1) || exit 1; \
	done

soak: ## The property test with 1,000,000 schedules, and an hour of random people, faults and kills under traffic
	@scripts/tools test
	TURQUOISE_SOAK_CASES=1000000 cargo test --release --test it -- property --nocapture
	TURQUOISE_SOAK_SECONDS=3600 cargo test --release --test it -- outside::soak --nocapture

cluster: ## A real single-node Kubernetes on this machine with the project's images; as root, on Linux
	@e2e/cluster/cluster up

cluster-down: ## Stop it; nothing of it stays but the built binaries
	@e2e/cluster/cluster down

e2e: ## The stories from outside on a real Kubernetes, under traffic and faults; ARGS: words of stories' names
	@scripts/tools test
	@e2e/run $(ARGS)

e2e-core: ## A dozen of them; left out, in words, where this machine can't run a cluster
	@e2e/run --core

e2e-sabotage: ## Deliberate bugs on a real Kubernetes, each of which a story must catch; ARGS: their names, or --sandbox
	@scripts/tools test
	@e2e/sabotage $(ARGS)

differences: ## The same random API calls to the embedded cluster and to a real one, and what they answer differently
	@scripts/tools test
	@e2e/differences/run $(ARGS)

images: ## Image tarballs of turquoise, the example and the test client, without a registry
	@scripts/tools build
	@scripts/images
	@scripts/images --print

clean: ## Build results
	cargo clean
