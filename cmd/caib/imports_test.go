package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

const (
	module = "github.com/oci-catalog/caib"
	root   = "../.."
)

// modules are the directories of the Go modules that this repository has.
var modules = []string{root, root + "/e2e", root + "/e2e/sigstore"}

// public are the packages that other modules import.
const public = "schema schema/apitest pkg/entry pkg/registry pkg/trust pkg/catalog pkg/api pkg/client pkg/server"

// support is what tests of every module may import beside.
const support = "internal/testwait internal/testtuf examples/samples"

// arrows says what each package imports of ours, and nothing else of ours may it
// import. What comes first imports nothing that comes later.
var arrows = []struct{ name, imports string }{
	{"schema", ""},
	{"schema/apitest", "schema"},
	{"pkg/entry", "schema"},

	{"pkg/internal/absence", "pkg/entry"},
	{"pkg/internal/atomicfile", ""},
	{"pkg/internal/bounded", ""},
	{"pkg/internal/keylock", ""},
	{"pkg/internal/kinded", ""},
	{"pkg/internal/normal", "pkg/entry"},
	{"pkg/internal/pause", ""},
	{"pkg/internal/referrertag", ""},
	{"pkg/registry", "pkg/entry pkg/internal/absence pkg/internal/atomicfile pkg/internal/bounded pkg/internal/keylock pkg/internal/normal pkg/internal/pause pkg/internal/referrertag"},

	{"pkg/internal/gate", "pkg/entry pkg/internal/normal pkg/registry"},
	{"pkg/internal/fetch", "pkg/entry pkg/internal/pause"},
	{"pkg/internal/place", "pkg/entry"},
	{"pkg/internal/revision", "pkg/entry schema"},
	{"pkg/internal/signature", "pkg/entry pkg/internal/absence pkg/internal/referrertag pkg/registry"},
	{"pkg/internal/unpack", "pkg/entry"},
	{"pkg/trust", "schema pkg/entry pkg/internal/bounded pkg/internal/normal pkg/internal/signature pkg/registry"},

	{"pkg/internal/health", "pkg/entry pkg/internal/absence pkg/internal/gate pkg/internal/normal pkg/registry"},
	{"pkg/internal/imagebuild", "pkg/entry"},
	{"pkg/internal/inspect", "pkg/entry pkg/internal/revision pkg/registry"},
	{"pkg/internal/ocilog", "pkg/entry pkg/internal/atomicfile pkg/internal/pause pkg/internal/revision"},
	{"pkg/internal/serving", "pkg/entry pkg/internal/gate pkg/trust"},
	{"pkg/internal/verdicts", "pkg/entry pkg/internal/atomicfile pkg/trust"},
	{"pkg/catalog", "pkg/entry pkg/internal/absence pkg/internal/fetch pkg/internal/gate pkg/internal/health pkg/internal/imagebuild pkg/internal/inspect pkg/internal/keylock pkg/internal/kinded pkg/internal/normal pkg/internal/ocilog pkg/internal/pause pkg/internal/place pkg/internal/referrertag pkg/internal/revision pkg/internal/serving pkg/internal/signature pkg/internal/unpack pkg/internal/verdicts pkg/registry pkg/trust"},
