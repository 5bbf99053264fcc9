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
var modules = []string{root, root + "/e2e", root + "/e2e/sigstore", root + "/e2e/tekton"}

// public are the packages that other modules import.
const public = "schema schema/apitest pkg/entry pkg/registry pkg/trust pkg/catalog pkg/api pkg/client pkg/server"

// support is what tests of every module may import beside.
const support = "internal/testcompress internal/testloop internal/testrounds internal/testwait internal/testtuf examples/samples"

// arrows says what each package imports of ours, and nothing else of ours may it
// import. What comes first imports nothing that comes later.
var arrows = []struct{ name, imports string }{
	{"schema", ""},
	{"schema/apitest", "schema"},
	{"pkg/entry", "schema"},

	{"pkg/internal/absence", "pkg/entry"},
	{"pkg/internal/atomicfile", ""},
	{"pkg/internal/bounded", ""},
	{"pkg/internal/page", "pkg/entry"},
	{"pkg/internal/pause", ""},
	{"pkg/internal/fetch", "pkg/entry pkg/internal/pause"},
	{"pkg/internal/keylock", ""},
	{"pkg/internal/kinded", ""},
	{"pkg/internal/normal", "pkg/entry"},
	{"pkg/internal/referrertag", ""},
	{"pkg/registry", "pkg/entry pkg/internal/absence pkg/internal/atomicfile pkg/internal/bounded pkg/internal/fetch pkg/internal/keylock pkg/internal/normal pkg/internal/pause pkg/internal/referrertag"},

	{"pkg/internal/zero", ""},
	{"pkg/internal/blockdevice", "pkg/entry pkg/internal/zero"},
	{"pkg/internal/bmap", "pkg/entry pkg/internal/zero"},
	{"pkg/internal/gate", "pkg/entry pkg/internal/normal pkg/registry"},
	{"pkg/internal/place", "pkg/entry pkg/internal/zero"},
	{"pkg/internal/revision", "pkg/entry pkg/internal/normal schema"},
	{"pkg/internal/signature", "pkg/entry pkg/internal/absence pkg/internal/referrertag pkg/registry"},
	{"pkg/internal/unpack", "pkg/entry"},
	{"pkg/internal/archive", "pkg/entry pkg/internal/fetch pkg/internal/place pkg/internal/referrertag pkg/internal/revision pkg/registry"},
	{"pkg/trust", "schema pkg/entry pkg/internal/bounded pkg/internal/normal pkg/internal/signature pkg/registry"},

	{"pkg/internal/health", "pkg/entry pkg/internal/absence pkg/internal/gate pkg/internal/normal pkg/registry"},
	{"pkg/internal/imagebuild", "pkg/entry"},
	{"pkg/internal/imagecopy", "pkg/entry pkg/internal/absence pkg/internal/keylock pkg/internal/referrertag pkg/registry"},
	{"pkg/internal/inspect", "pkg/entry pkg/internal/revision pkg/registry"},
	{"pkg/internal/ocilog", "pkg/entry pkg/internal/absence pkg/internal/atomicfile pkg/internal/pause pkg/internal/revision"},
	{"pkg/internal/serving", "pkg/entry pkg/internal/gate pkg/internal/revision pkg/trust"},
	{"pkg/internal/verdicts", "pkg/entry pkg/internal/atomicfile pkg/trust"},
	{"pkg/catalog", "pkg/entry pkg/internal/absence pkg/internal/archive pkg/internal/blockdevice pkg/internal/bmap pkg/internal/fetch pkg/internal/gate pkg/internal/health pkg/internal/imagebuild pkg/internal/imagecopy pkg/internal/inspect pkg/internal/keylock pkg/internal/kinded pkg/internal/normal pkg/internal/ocilog pkg/internal/pause pkg/internal/place pkg/internal/referrertag pkg/internal/revision pkg/internal/serving pkg/internal/signature pkg/internal/unpack pkg/internal/verdicts pkg/registry pkg/trust"},

	{"pkg/api", "schema pkg/catalog pkg/entry pkg/internal/revision"},
	{"pkg/internal/wire", "pkg/api pkg/catalog pkg/entry"},
	{"pkg/client", "pkg/api pkg/catalog pkg/entry pkg/internal/kinded pkg/internal/normal pkg/internal/pause pkg/internal/revision pkg/internal/wire pkg/registry"},
	{"pkg/server", "schema pkg/api pkg/catalog pkg/entry pkg/internal/atomicfile pkg/internal/gate pkg/internal/health pkg/internal/page pkg/internal/pause pkg/internal/revision pkg/internal/serving pkg/internal/wire pkg/registry pkg/trust"},

	{"pkg/internal/fill", "pkg/entry pkg/internal/ocilog pkg/internal/revision pkg/registry pkg/trust"},
	{"pkg/internal/imagesign", "pkg/internal/signature pkg/registry pkg/trust"},

	{"internal/testloop", ""},
	{"internal/testrounds", ""},
	{"internal/testtuf", ""},
	{"internal/testcompress", ""},
	{"internal/testwait", ""},

	{"cmd/caib/internal/cli", public},
	{"cmd/caib/internal/man", "cmd/caib/internal/cli"},
	{"cmd/caib", "cmd/caib/internal/cli"},
	{"examples/samples", ""},
	{"examples/demo", "examples/samples " + public},
	{"examples/pipeline", public},
	{"examples/ci", "examples/samples pkg/registry"},
	{"e2e/tools", ""},
	{"e2e/registries", "e2e/tools " + support},
	{"e2e/faultproxy", "e2e/registries"},
	{"e2e/bench", "e2e/registries examples/samples " + public},
	{"e2e/browser", "e2e/tools " + support},
	{"e2e", "e2e/faultproxy e2e/registries e2e/tools " + support + " " + public},
	{"e2e/sigstore/timestamps", ""},
	{"e2e/tekton", ""},
}

// listed is a package as `go list` describes it.
type listed struct {
	ImportPath, Dir                    string
	Imports, TestImports, XTestImports []string
}

func (p listed) name() string { return strings.TrimPrefix(p.ImportPath, module+"/") }

// ours are the packages of this repository among what is imported.
func ours(imported ...[]string) (names []string) {
	for _, path := range slices.Concat(imported...) {
		if name, own := strings.CutPrefix(path, module+"/"); own {
			names = append(names, name)
		}
	}
	return names
}

func goList(dir string, args ...string) (packages []listed, err error) {
	command := exec.Command("go", append([]string{"list", "-json=ImportPath,Dir,Imports,TestImports,XTestImports"}, args...)...)
	command.Dir = dir
	var stderr bytes.Buffer
	command.Stderr = &stderr
	out, err := command.Output()
	if err != nil {
		return nil, fmt.Errorf("%v: %w\n%s", command, err, &stderr)
	}
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, err
		}
		packages = append(packages, p)
	}
	if len(packages) == 0 {
		return nil, fmt.Errorf("%v lists no package", command)
	}
	return packages, nil
}

// tree lists the packages of every module by their names.
var tree = sync.OnceValues(func() (map[string]listed, error) {
	packages := map[string]listed{}
	for _, dir := range modules {
		found, err := goList(dir, "./...")
		if err != nil {
			return nil, err
		}
		for _, p := range found {
			packages[p.name()] = p
		}
	}
	return packages, nil
})

func all(t *testing.T) map[string]listed {
	t.Helper()
	packages, err := tree()
	if err != nil {
		t.Fatal(err)
	}
	return packages
}

// TestArrows compares every import with the table. A test file imports what its
// package reaches, and support; outside of pkg it imports what its package may.
func TestArrows(t *testing.T) {
	packages := all(t)
	allowed, reached := map[string][]string{}, map[string][]string{}
	for _, row := range arrows {
		if _, exists := packages[row.name]; !exists {
			t.Errorf("the table has %s, and there is no such package", row.name)
		}
		imports := strings.Fields(row.imports)
		allowed[row.name] = imports
		reached[row.name] = append(imports, row.name)
		for _, name := range imports {
			if _, before := allowed[name]; !before {
				t.Errorf("the table lets %s import %s, which comes later", row.name, name)
			}
			if strings.HasPrefix(row.name, "pkg/") {
				reached[row.name] = append(reached[row.name], reached[name]...)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(packages)) {
		p := packages[name]
		if _, known := allowed[name]; !known {
			t.Errorf("%s: got no row in the table, want one that says what it imports", name)
			continue
		}
		for _, imported := range ours(p.Imports) {
			if !slices.Contains(allowed[name], imported) {
				t.Errorf("%s imports %s, want only %q", name, imported, allowed[name])
			}
		}
		tests := slices.Concat(reached[name], strings.Fields(support+" schema/apitest"))
		for _, imported := range ours(p.TestImports, p.XTestImports) {
			if !slices.Contains(tests, imported) {
				t.Errorf("a test of %s imports %s, want only what %s imports, and %s", name, imported, name, support)
			}
		}
	}
}

// What embeds the library has no packages of ours that others cannot have.
func TestEmbeddersImportPublicPackagesOnly(t *testing.T) {
	for name, p := range all(t) {
		if strings.HasPrefix(name, "pkg/") || strings.HasPrefix(name, "schema") {
			continue
		}
		for _, imported := range ours(p.Imports, p.TestImports, p.XTestImports) {
			if strings.HasPrefix(imported, "pkg/internal/") {
				t.Errorf("%s imports %s, want public packages only", name, imported)
			}
		}
	}
}

// Some dependencies have one place, and the command stays free of others.
func TestDependenciesHaveTheirPlace(t *testing.T) {
	for name, p := range all(t) {
		if strings.HasPrefix(name, "e2e") {
			continue
		}
		for _, imported := range p.Imports {
			switch {
			case strings.HasPrefix(imported, "oras.land/oras-go") && name != "pkg/registry":
				t.Errorf("%s imports %s, want pkg/registry alone to import it", name, imported)
			case strings.HasPrefix(imported, "github.com/spf13/") && !strings.HasPrefix(name, "cmd/caib/internal/"):
				t.Errorf("%s imports %s, want the command alone to import it", name, imported)
			}
		}
	}
}

// The binary stays small and starts at once: none of the clouds' libraries
// comes along, by whatever way. Some of what they use does: sigstore's packages
// log through klog, and link grpc.
func TestNoCloudLibraries(t *testing.T) {
	packages, err := goList(root, "-deps", "./cmd/caib")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range packages {
		for _, heavy := range []string{
			"k8s.io/client-go", "k8s.io/api", "k8s.io/apimachinery",
			"github.com/aws/", "github.com/Azure/", "cloud.google.com/", "github.com/hashicorp/vault",
			"github.com/sigstore/cosign/v2/pkg/signature", "github.com/sigstore/cosign/v2/pkg/providers/all", "github.com/sigstore/cosign/v2/cmd/cosign/cli",
		} {
			if strings.HasPrefix(p.ImportPath, heavy) {
				t.Errorf("caib depends on %s, want nothing of %s", p.ImportPath, heavy)
			}
		}
	}
}

// sources are the Go files below a directory of the repository, but for what
// tests read.
func sources(t *testing.T, below string) (files []string) {
	t.Helper()
	packages := all(t)
	for _, name := range slices.Sorted(maps.Keys(packages)) {
		if below != "" && name != below && !strings.HasPrefix(name, below+"/") {
			continue
		}
		found, err := filepath.Glob(filepath.Join(packages[name].Dir, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	return files
}
