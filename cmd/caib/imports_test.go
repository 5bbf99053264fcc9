package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const (
	module = "github.com/oci-catalog/caib"
	root   = "../.."
)

// layers says which packages of ours each package may import. One that is not
// here may import what it likes, but nothing below pkg may be missing.
var layers = map[string][]string{
	"schema":         {},
	"schema/apitest": {"schema"},
	"pkg/entry":      {"schema"},
	"pkg/registry":   {"internal/keylock", "pkg/entry"},
	"pkg/ocilog":     {"pkg/entry"},
	"pkg/inspect":    {"pkg/entry", "pkg/registry"},
	"pkg/imagebuild": {"pkg/entry"},
	"pkg/trust":      {"schema", "pkg/entry", "pkg/registry"},
	"pkg/catalog":    {"internal/keylock", "pkg/entry", "pkg/registry", "pkg/ocilog", "pkg/inspect", "pkg/imagebuild", "pkg/trust"},
	"pkg/health":     {"pkg/entry", "pkg/registry"},
	"pkg/server":     {"schema", "pkg/entry", "pkg/registry", "pkg/trust", "pkg/catalog", "pkg/health"},
}

type listed struct {
	ImportPath string
	Dir        string
	GoFiles    []string
	Imports    []string
}

func goList(t *testing.T, args ...string) []listed {
	t.Helper()
	command := exec.CommandContext(t.Context(), "go", append([]string{"list", "-json=ImportPath,Dir,GoFiles,Imports"}, args...)...)
	command.Dir = root
	var stderr bytes.Buffer
	command.Stderr = &stderr
	out, err := command.Output()
	if err != nil {
		t.Fatalf("%v: %v\n%s", command, err, &stderr)
	}
	var packages []listed
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		packages = append(packages, p)
	}
	if len(packages) == 0 {
		t.Fatalf("%v lists nothing", command)
	}
	return packages
}

// Each layer imports the ones below it only. Test files are not counted.
func TestLayers(t *testing.T) {
	seen := map[string]bool{}
	for _, p := range goList(t, "./schema/...", "./pkg/...") {
		name := strings.TrimPrefix(p.ImportPath, module+"/")
		seen[name] = true
		allowed, known := layers[name]
		if !known {
			t.Errorf("%s: say in this test what it may import", name)
		}
		for _, imported := range p.Imports {
			own, isOwn := strings.CutPrefix(imported, module+"/")
			switch {
			case isOwn && !slices.Contains(allowed, own):
				t.Errorf("%s imports %s", name, own)
			case strings.HasPrefix(imported, "github.com/spf13/"):
				t.Errorf("%s imports %s: only the command does", name, imported)
			case strings.HasPrefix(imported, "oras.land/oras-go") && name != "pkg/registry":
				t.Errorf("%s imports %s: only pkg/registry does", name, imported)
			}
		}
	}
	for name := range layers {
		if !seen[name] {
			t.Errorf("there is no %s", name)
		}
	}
}

// Nor does the command, or an example, reach past pkg/registry.
func TestOnlyRegistryImportsOras(t *testing.T) {
	for _, p := range goList(t, "./...") {
		for _, imported := range p.Imports {
			if strings.HasPrefix(imported, "oras.land/oras-go") && p.ImportPath != module+"/pkg/registry" {
				t.Errorf("%s imports %s", p.ImportPath, imported)
			}
		}
	}
}

// The binary stays small and starts at once: none of the clouds' libraries
// comes along, by whatever way. Some of what they use does: sigstore's packages
// log through klog, and link grpc.
func TestNoCloudLibraries(t *testing.T) {
	for _, p := range goList(t, "-deps", "./cmd/caib") {
		for _, heavy := range []string{
			"k8s.io/client-go", "k8s.io/api", "k8s.io/apimachinery",
			"github.com/aws/", "github.com/Azure/", "cloud.google.com/", "github.com/hashicorp/vault",
		} {
			if strings.HasPrefix(p.ImportPath, heavy) {
				t.Errorf("caib depends on %s", p.ImportPath)
			}
		}
	}
}

// forbidden are the functions that a library leaves to its caller: streams,
// environment, the end of the process, and where a context comes from.
var forbidden = map[string]*regexp.Regexp{
	"os":      regexp.MustCompile(`^(Getenv|LookupEnv|Environ|ExpandEnv|Exit|Stdin|Stdout|Stderr)$`),
	"fmt":     regexp.MustCompile(`^Print`),
	"log":     regexp.MustCompile(`^(Print|Fatal|Panic|Default$)`),
	"context": regexp.MustCompile(`^(Background|TODO)$`),
}

func TestLibraryLeavesTheProcessAlone(t *testing.T) {
	scanned := 0
	err := filepath.WalkDir(filepath.Join(root, "pkg"), func(path string, file fs.DirEntry, err error) error {
		if err != nil || file.IsDir() || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
			return err
		}
		scanned++
		for _, found := range uses(t, path) {
			t.Error(found)
		}
		return nil
	})
	if err != nil || scanned < 30 {
		t.Errorf("%d files scanned: %v", scanned, err)
	}
}

// uses returns where a file uses something forbidden, whatever it calls the
// package.
func uses(t *testing.T, path string) (found []string) {
	t.Helper()
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, path, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]string{} // by what the file calls it
	for _, spec := range file.Imports {
		imported := strings.Trim(spec.Path.Value, `"`)
		switch {
		case forbidden[imported] == nil:
		case spec.Name == nil:
			names[imported] = imported
		case spec.Name.Name == ".":
			found = append(found, files.Position(spec.Pos()).String()+": imports all of "+imported)
		default:
			names[spec.Name.Name] = imported
		}
	}
	ast.Inspect(file, func(node ast.Node) bool {
		selector, ok := node.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		if name, ok := selector.X.(*ast.Ident); ok && names[name.Name] != "" && forbidden[names[name.Name]].MatchString(selector.Sel.Name) {
			found = append(found, files.Position(selector.Pos()).String()+": "+name.Name+"."+selector.Sel.Name)
		}
		return true
	})
	return found
}
