# caib catalog. `make` lists the targets; `make check` is what CI runs.

GO          ?= go
STATICCHECK  = honnef.co/go/tools/cmd/staticcheck@v0.8.2
MODULES      = . e2e e2e/sigstore e2e/tekton
PLATFORMS    = linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64
# A number of runs, not a time: before Go 1.27, fuzzing whose time is up while a
# worker is busy can end in "context deadline exceeded" (golang/go#75804).
FUZZTIME    ?= 30000x

.DEFAULT_GOAL := help

## help: list the targets
.PHONY: help
help:
	@sed -n 's/^## //p' $(MAKEFILE_LIST)

# What caib version says: the nearest tag, the commit, and its date.
LDFLAGS      = -X github.com/oci-catalog/caib/cmd/caib/internal/cli.linked=$(shell git log -1 --format='$(shell git describe --tags --always --dirty 2>/dev/null || echo devel)%x2C%H%x2C%cI' 2>/dev/null)

## build: build bin/caib
.PHONY: build
build:
	$(GO) build -trimpath -ldflags "$(LDFLAGS)" -o bin/caib ./cmd/caib

IMAGE_ARCHS  = amd64 arm64
IMAGE       ?= bin/image
AUTHORITIES ?= /etc/ssl/certs/ca-certificates.crt
BUILDAH     ?= buildah

## image: build the container image of caib with buildah, into the OCI layout $(IMAGE)
.PHONY: image
image:
	rm -rf $(IMAGE) $(IMAGE).context && mkdir -p $(IMAGE).context
	cp $(AUTHORITIES) $(IMAGE).context/ca-certificates.crt
	@for a in $(IMAGE_ARCHS); do echo "build linux/$$a"; \
	  GOOS=linux GOARCH=$$a CGO_ENABLED=0 $(GO) build -trimpath -ldflags "$(LDFLAGS)" -o $(IMAGE).context/caib-linux-$$a ./cmd/caib || exit 1; done
	$(BUILDAH) build --manifest caib-image --platform $$(echo $(IMAGE_ARCHS:%=linux/%) | tr ' ' ,) -f Containerfile $(IMAGE).context
	$(BUILDAH) manifest push --all --rm caib-image oci:$(IMAGE):latest
	rm -rf $(IMAGE).context

## man: write the man pages of all commands and help topics to bin/man
.PHONY: man
man:
	$(GO) run ./cmd/caib/internal/man -dir bin/man

## demo: show the main job on an in-process registry; SERVE=1 then serves its page at http://127.0.0.1:8080
.PHONY: demo
demo: build
	$(GO) run ./examples/demo -caib bin/caib $(if $(SERVE),-serve $(if $(filter 1,$(SERVE)),127.0.0.1:8080,$(SERVE)))

# What takes more than a second by itself: scripts, campaigns, large catalogs, and
# what waits for time-outs. `make test` runs all of it.
SLOW = ^Test(Scripts|PipelinePublishes|PipelineFails|PipelineRuns|GitLabJob|AttackTable|Simulation|Mutations|Load|SegmentsAreBounded|AStateIsBounded|ReadingCosts|SnapshotsAreNever|ParallelReads|VerifiedCold|CatalogCopied|UnsignedWithoutAPolicy|SnapshotsC|EvaluationsAre|EncryptedKeys|LargeSignatures|ParseRefuses|VerifySeveral|ServeFollows|DeletedRevisions|ARetentionRule|LayoutCost|LayoutRefusesIrregular|FullDisk)

## quick: what one runs while working: format, vet and the short tests; seconds where little changed
.PHONY: quick
quick: format
	$(GO) vet ./...
	$(GO) test -short -skip '$(SLOW)' ./...

## test: run every test, those with real registries included
.PHONY: test
test:
	$(GO) test -race -shuffle=on -timeout 30m ./...
	cd e2e && $(GO) test -shuffle=on -parallel 8 -timeout 40m ./...
	cd e2e/tekton && $(GO) test -count=1 -shuffle=on ./...

# What `make load` runs of the long campaigns: all of it; less before a change lands.
SCHEDULES   ?= 100000
FULL        ?= -full
LOAD        ?= -load 60s -load-entries 10000

## load: run the long campaigns in full, and print times and rates; LOADFLAGS=-load-figures fails where they are bad
.PHONY: load
load:
	$(GO) test -count=1 -v -timeout 120m -run '^TestSimulation(OfCopies)?$$' ./pkg/internal/ocilog -schedules $(SCHEDULES)
	$(GO) test -count=1 -v -timeout 30m -run '^TestLayout' ./pkg/registry $(FULL)
	$(GO) test -count=1 -v -timeout 30m -run '^TestMutations$$' ./pkg/trust $(FULL)
	$(GO) test -count=1 -v -timeout 30m -run '^TestCommandsBehindALaggard$$' ./pkg/catalog $(FULL)
	cd e2e && $(GO) test -count=1 -v -timeout 30m -run '^TestHostileCatalogsAreBounded$$' $(FULL) $(LOADFLAGS) .
	cd e2e && $(GO) test -count=1 -v -timeout 60m -run '^TestOneImageUnderSixNames$$' $(FULL) .
	cd e2e && $(GO) test -count=1 -v -timeout 30m -run '^TestSixProcessesEditOneEntry$$' $(FULL) .
	cd e2e && $(GO) test -count=1 -v -timeout 30m -run '^TestNightliesAreKept$$' $(FULL) .
	cd e2e && $(GO) test -count=1 -v -timeout 30m -run '^Test(KilledWhilePulling|CutWhilePulling|PullMemory)$$' $(FULL) .
	cd e2e && $(GO) test -count=1 -v -timeout 60m -run '^Test(CopyStandsAlone|CarriedAcross|KilledWhile(Copying|BackingUp|Restoring))$$' $(FULL) .
	cd e2e && $(GO) test -count=1 -v -run '^TestServerUnderLoad$$' $(LOAD) $(LOADFLAGS) .

## check: everything CI runs
.PHONY: check
check: SCHEDULES = 5000
check: FULL =
check: LOAD = -load 12s -load-entries 2000
check: format vet staticcheck tidy cross test load fuzz

## format: fail where gofmt would change a file
.PHONY: format
format:
	@changed=$$(gofmt -l .); if [ -n "$$changed" ]; then echo "gofmt would change:"; echo "$$changed"; exit 1; fi

## vet: run go vet
.PHONY: vet
vet:
	@for m in $(MODULES); do echo "vet $$m"; (cd $$m && $(GO) vet ./...) || exit 1; done

## staticcheck: run staticcheck, pinned
.PHONY: staticcheck
staticcheck:
	@for m in $(MODULES); do echo "staticcheck $$m"; (cd $$m && $(GO) run $(STATICCHECK) ./...) || exit 1; done

## tidy: fail where go mod tidy would change go.mod or go.sum
.PHONY: tidy
tidy:
	@for m in $(MODULES); do echo "tidy $$m"; (cd $$m && $(GO) mod tidy -diff) || exit 1; done

## cross: build for every platform
.PHONY: cross
cross:
	@for p in $(PLATFORMS); do echo "build $$p"; GOOS=$${p%/*} GOARCH=$${p#*/} CGO_ENABLED=0 $(GO) build -trimpath -o /dev/null ./cmd/caib || exit 1; done

## fuzz: run every fuzz target FUZZTIME times
.PHONY: fuzz
fuzz:
	@for p in $$($(GO) list ./...); do \
	  for f in $$($(GO) test -list '^Fuzz' $$p | grep '^Fuzz'); do \
	    echo "fuzz $$p $$f"; $(GO) test -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 1000x $$p || exit 1; \
	  done; \
	done

## bench: measure against other clients, and at scale (not part of check)
.PHONY: bench
bench: build
	cd e2e && $(GO) run ./bench -caib ../bin/caib

## clean: remove what was built
.PHONY: clean
clean:
	rm -rf bin
