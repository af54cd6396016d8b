# make          the static binary, target/nslab
# make demo     build; one lab from nothing to nothing: ping, trace, macs, check; then what to type next
# make test     install what the tests need and is missing, build, run every test
# make test-vm  the same on Debian's kernels 6.1 and 6.12, and two machines with one lab: in virtual machines
# make accept-mistakes  the mistakes of tests/mistakes warm and cold, in English and in Spanish; `make test` has them warm, in English
# make accept-breakages  2000 random breakages of random labs: what the tables say of every pair; `make test` has 200
# make additions  the worked examples of CONTRIBUTING.md, applied to one copy, built and typed
# make lint     format, clippy, docs, licences
# make bench    measure up, down and exec beside a floor in C and other tools, and the agent beside a real LXD
# make install  to PREFIX (/usr/local), below DESTDIR; what `make` has built needs no Rust then

SHELL   := /bin/bash -euo pipefail
PREFIX  ?= /usr/local
DESTDIR ?=

# Each of these would move the binary or make it dynamic: .cargo/config.toml decides.
unexport RUSTFLAGS CARGO_ENCODED_RUSTFLAGS CARGO_BUILD_TARGET CARGO_BUILD_RUSTFLAGS CARGO_TARGET_DIR
export PATH := $(PATH):/usr/local/sbin:/usr/sbin:/sbin

# Asked for where it is needed: root has no Rust where `sudo make install` is typed.
HOST     = $(shell rustc -vV | sed -n 's/^host: //p')
SUDO    := $(if $(filter 0,$(shell id -u)),,sudo)
# Cargo starts test binaries through this: the tests need root, the build does not.
RUNNER   = CARGO_TARGET_$(shell echo $(HOST) | tr 'a-z-' 'A-Z_')_RUNNER
AS_ROOT  = $(if $(SUDO),$(RUNNER)='sudo -E')
# What the tests run beside nslab, as command:package.
TOOLS   := ip:iproute2 ping:iputils-ping traceroute:traceroute nft:nftables iptables:iptables tcpdump:tcpdump tshark:tshark strace:strace unshare:util-linux taskset:util-linux mount:mount script:bsdutils xmllint:libxml2-utils pkill:procps gcc:gcc libc6-dev:libc6-dev dot:graphviz curl:curl
# Of the systems with apt, Debian alone has LXD and the clients of LXD and Incus as packages: there the tests `in_class` run.
DEBIAN  := $(shell grep -qs '^ID=debian$$' /etc/os-release && echo yes)
TOOLS   += $(if $(DEBIAN),lxd:lxd lxc:lxd-client dnsmasq:dnsmasq-base busybox:busybox-static)
FILTER  := $(if $(DEBIAN),,-E 'not test(in_class)')
SKIP    := $(if $(DEBIAN),,-- --skip in_class)
# A server that is away for a moment is no reason to fail.
PATIENT := -o Acquire::Retries=5
DENY    := target/tools/bin/cargo-deny
INCUS   := target/tools/bin/incus

.PHONY: build install uninstall demo test test-vm accept-mistakes accept-breakages additions lint bench tools

build:
	@command -v cargo >/dev/null || { echo "there is no cargo here: install Rust, or type make as the user who has it" >&2; exit 1; }
	cargo build --release --locked
	install -m 755 target/$(HOST)/release/nslab target/nslab

target/nslab:
	$(MAKE) build

install: target/nslab
	install -D -m 755 target/nslab $(DESTDIR)$(PREFIX)/bin/nslab
	install -d $(addprefix $(DESTDIR)$(PREFIX)/share/,bash-completion/completions zsh/site-functions fish/vendor_completions.d man/man1)
	target/nslab completions bash > $(DESTDIR)$(PREFIX)/share/bash-completion/completions/nslab
	target/nslab completions zsh > $(DESTDIR)$(PREFIX)/share/zsh/site-functions/_nslab
	target/nslab completions fish > $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/nslab.fish
	target/nslab man > $(DESTDIR)$(PREFIX)/share/man/man1/nslab.1

uninstall:
	rm -f $(addprefix $(DESTDIR)$(PREFIX)/,bin/nslab share/bash-completion/completions/nslab share/zsh/site-functions/_nslab \
	  share/fish/vendor_completions.d/nslab.fish share/man/man1/nslab.1)

demo: build
	$(SUDO) sh tests/demo.sh target/nslab

tools: $(if $(DEBIAN),$(INCUS))
	@missing=; for tool in $(TOOLS); do \
	  name=$${tool%%:*} package=$${tool##*:}; \
	  case $$name in lib*) dpkg -s $$name >/dev/null 2>&1 || missing+=" $$package";; \
	  *) command -v $$name >/dev/null || missing+=" $$package";; esac; \
	done; \
	if [ -n "$$missing" ]; then \
	  echo "installing:$$missing"; export DEBIAN_FRONTEND=noninteractive; \
	  $(SUDO) apt-get $(PATIENT) update -qq && $(SUDO) apt-get $(PATIENT) install -y -qq --no-install-recommends $$missing </dev/null; \
	fi

# Debian 12 has it in its backports alone.
$(INCUS):
	tests/agent/incus-client.sh target/tools

test: tools build
	@[ -n "$(DEBIAN)" ] || echo "not run: the tests with a real LXD and with the stock clients of LXD and Incus, which need Debian's packages"
	@if cargo nextest --version >/dev/null 2>&1; then \
	  set -x; $(AS_ROOT) NSLAB_RELEASE=$(CURDIR)/target/nslab cargo nextest run --locked --features fault --no-tests=fail $(FILTER); \
	else \
	  set -x; $(AS_ROOT) NSLAB_RELEASE=$(CURDIR)/target/nslab cargo test --locked --features fault --no-fail-fast $(SKIP); \
	fi

# Emulated where there is no KVM. The machines' kernels and tools are Debian's packages, unpacked into a cache.
test-vm: build
	@if ! { command -v qemu-system-x86_64 && command -v mke2fs; } >/dev/null; then \
	  export DEBIAN_FRONTEND=noninteractive; $(SUDO) apt-get $(PATIENT) update -qq && \
	  $(SUDO) apt-get $(PATIENT) install -y -qq --no-install-recommends qemu-system-x86 e2fsprogs </dev/null; \
	fi
	python3 tests/vm/run

accept-mistakes: tools build
	@failed=; for cold in '' 1; do for lang in en es; do \
	  env $(AS_ROOT) NSLAB_RELEASE=$(CURDIR)/target/nslab MISTAKES_COLD=$$cold MISTAKES_LANG=$$lang RUST_BACKTRACE=0 \
	    cargo test --locked --features fault --test mistakes -- --nocapture --test-threads=2 2>&1 | awk '{ print } \
	    / mastered$$/ { right += $$4; all += $$6 } END { print right " of " all " mastered" }' || failed=yes; \
	done; done; [ -z "$$failed" ]

# A box ends after twenty minutes: five hundred at a time.
accept-breakages: tools build
	@failed=; for first in 0 500 1000 1500; do \
	  env $(AS_ROOT) BREAKAGES=500 BREAKAGES_FROM=$$first RUST_BACKTRACE=0 \
	    cargo test --locked --features fault --test breakages -- --nocapture --test-threads=1 || failed=yes; \
	done; [ -z "$$failed" ]

additions: tools
	python3 tests/additions.py

lint: $(DENY)
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings
	cargo clippy --locked --all-targets --features fault -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc --locked --no-deps --document-private-items
	$(DENY) check bans licenses sources

# A debug build: it takes half the time and runs for a second. From /, so that our own target and flags do not reach it.
$(DENY):
	cd / && cargo install --locked --debug --no-default-features --root $(CURDIR)/target/tools --target-dir $(CURDIR)/target/tools/build cargo-deny@0.20.2
	rm -rf target/tools/build

bench: tools build
	$(SUDO) python3 benches/run.py --nslab target/nslab
	$(SUDO) python3 benches/flood.py --nslab target/nslab
	@[ -n "$(DEBIAN)" ] || echo "not run: the agent beside a real LXD, which needs Debian's packages"
	$(if $(DEBIAN),$(SUDO) python3 benches/agent.py --nslab target/nslab)
