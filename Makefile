# What a person would type. `make help` lists it.

.DEFAULT_GOAL := help
.PHONY: help run front test check fmt bench clean

help: ## list what can be made
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /\1\t/' | expand -t 10

run: front ## set up what is missing and start the hub: http://localhost:8000/ and https://localhost:8443/
	cargo run --release --locked -- serve --dev

front: static/dist/index.html ## build the web page that is part of the binary

static/dist/index.html: $(shell find static/src static/public static/index.html static/vite.config.ts static/package-lock.json 2>/dev/null)
	cd static && npm ci --no-audit --no-fund && npm run --silent build

test: ## run every test of every kind; ends with "N passed, N failed"
	@tests/run

check: ## formatting, lints and types alone
	@tests/run front lint

fmt: ## format everything
	cargo fmt --all
	cd static && npm run --silent fmt

bench: front ## measure beside the comparison servers and print the ratios
	benches/run

clean: ## remove everything that was built or installed here
	cargo clean
	rm -rf static/dist static/node_modules benches/bun/node_modules tests/*/node_modules tests/sdk/*/node_modules fuzz/target fuzz/corpus fuzz/artifacts .tools
