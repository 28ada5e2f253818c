# Highwater: the commands of the documents and of CI.

CARGO ?= cargo
PYTHON ?= python3
FUZZ_SECONDS ?= 600
# of the local stack, without the emulator of Pub/Sub, which only `make test` needs
SERVERS := postgres,mariadb,storage,bigquery

.PHONY: help
help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 20

.PHONY: demo
demo: ## from nothing to synced tables on this machine: installs, starts, fills, syncs, compares, stops
	@$(PYTHON) scripts/demo.py

.PHONY: play
play: ## the demo's servers and service, left running, with rows that change; says what to type, and stops with Ctrl-C
	@$(PYTHON) scripts/play.py

.PHONY: test
test: image terraform ## every test, on real servers that it installs and starts itself; image, Terraform and documents checked; the parsers fuzzed for a short while
	$(PYTHON) scripts/stack.py install
	$(CARGO) test --locked --features testing
	$(PYTHON) scripts/docs_check.py
	$(PYTHON) scripts/fuzz.py check

.PHONY: check
check: ## format, lints, documentation
	$(CARGO) fmt --check
	$(CARGO) clippy --locked -- -D warnings
	$(CARGO) clippy --locked --features testing --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --no-deps --quiet
	$(PYTHON) scripts/fuzz.py lint

.PHONY: soak
soak: ## the large ones: a million rows compared and memory measured, a million that commit late, 200 kills, the whole crash matrix (some two hours)
	$(PYTHON) scripts/stack.py --only $(SERVERS) install
	HIGHWATER_SOAK=1 $(CARGO) test --locked --features testing --release --test main -- --test-threads 1

.PHONY: fuzz
fuzz: ## every parser fuzzed for FUZZ_SECONDS (600); findings go to fuzz/artifacts
	$(PYTHON) scripts/fuzz.py run --seconds $(FUZZ_SECONDS)

.PHONY: bench
bench: ## speed from the databases to BigQuery beside their own clients and other programs, encoders, small syncs, initial load (bench/README.md; an hour or two)
	$(PYTHON) scripts/stack.py --only $(SERVERS) install
	$(PYTHON) bench/bench.py

.PHONY: bench-large
bench-large: ## 1, 5 and 20 million rows in one sync: memory over time, seconds, the effect of the chunk's size
	$(PYTHON) scripts/stack.py --only $(SERVERS) install
	$(PYTHON) bench/bench.py --only large

.PHONY: bench-profiles
bench-profiles: ## other ways to build the program beside the released one: size, start, speed, memory (half an hour, most of it building)
	$(PYTHON) scripts/stack.py --only $(SERVERS) install
	$(PYTHON) bench/bench.py --only profiles

.PHONY: startup
startup: ## how soon the release build answers after it is started, and its size when idle
	$(CARGO) build --locked --release
	$(PYTHON) scripts/startup.py

.PHONY: page
page: ## the status page of 40 and of 500 tables: how long it takes, how many bytes it has, when Chromium shows it
	$(CARGO) build --locked --release
	$(PYTHON) scripts/page.py measure

.PHONY: screenshots
screenshots: ## the pictures of the status page in docs/, of tables that are run on this machine for them
	$(PYTHON) scripts/page.py screenshots

.PHONY: terraform
terraform: ## the Terraform module: format, validity, its tests, planted mistakes (needs no account)
	$(PYTHON) scripts/terraform_check.py

.PHONY: image
image: ## lints of Dockerfile and cloudbuild.yaml; costs and the configuration's schema held to what they are about
	$(PYTHON) scripts/image_check.py

.PHONY: docs
docs: ## the documents: links, every command and configuration that is shown, generated tables, planted mistakes (needs the network once)
	$(PYTHON) scripts/docs_check.py

.PHONY: schema
schema: ## docs/highwater.schema.json anew, the schema of the configuration, and the tables of docs/configuration.md and docs/types.md
	$(CARGO) run --locked --quiet -- config --schema > target/highwater.schema.json
	mv target/highwater.schema.json docs/highwater.schema.json
	$(PYTHON) scripts/reference.py

.PHONY: image-build
image-build: ## the Dockerfile built without Docker, its size, and the image started (Debian, root; a quarter of an hour)
	$(PYTHON) scripts/image_build.py

.PHONY: image-pin
image-pin: ## the newest digests of the Dockerfile's bases, asked of their registries (needs docker)
	@sed -nE 's/^FROM ([^ @]+)@.*/\1/p' Dockerfile | while read -r base; do \
		digest=$$(docker buildx imagetools inspect "$$base" --format '{{.Manifest.Digest}}') || exit 1; \
		sed -i "s|^FROM $$base@sha256:[0-9a-f]*|FROM $$base@$$digest|" Dockerfile; echo "$$base@$$digest"; done

.PHONY: fmt
fmt: ## format the code
	$(CARGO) fmt
