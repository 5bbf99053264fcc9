package main

import (
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// What is small enough to be read at once.
const (
	maxFile     = 500 // lines
	maxFunction = 60
)

func TestSizes(t *testing.T) {
	t.Parallel()
	for _, path := range sources(t, "") {
		files := token.NewFileSet()
		file, err := parser.ParseFile(files, path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		short := relative(t, path)
		if lines := files.File(file.Pos()).LineCount(); lines > maxFile {
			t.Errorf("%s: %d lines, want at most %d", short, lines, maxFile)
		}
		for _, declared := range file.Decls {
			function, ok := declared.(*ast.FuncDecl)
			if !ok {
				continue
			}
			first, last := files.Position(function.Pos()).Line, files.Position(function.End()).Line
			if lines := last - first + 1; lines > maxFunction {
				t.Errorf("%s:%d: %s has %d lines, want at most %d", short, first, function.Name, lines, maxFunction)
			}
		}
	}
}

func relative(t *testing.T, path string) string {
	t.Helper()
	top, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	short, err := filepath.Rel(top, path)
	if err != nil {
		t.Fatal(err)
	}
	return short
}

// maxSurface is how many names the public packages below pkg may promise in sum:
// types, functions, methods, constants and variables. Fields are not counted. It may
// only become less: the aim is 260.
const maxSurface = 338

func TestSurface(t *testing.T) {
	sum := 0
	for name := range strings.FieldsSeq(public) {
		if !strings.HasPrefix(name, "pkg/") {
			continue
		}
		if _, err := os.Stat(filepath.Join(root, name)); err != nil {
			t.Fatal(err)
		}
		count := surface(t, name)
		t.Logf("%s exports %d names", name, count)
		sum += count
	}
	if t.Logf("in sum %d", sum); sum > maxSurface {
		t.Errorf("the public packages export %d names, want at most %d", sum, maxSurface)
	}
}

// surface counts what `go doc -all` shows of a package.
func surface(t *testing.T, name string) (count int) {
	t.Helper()
	files := token.NewFileSet()
	var parsed []*ast.File
	for _, path := range sources(t, name) {
		if strings.HasSuffix(path, "_test.go") || filepath.Base(filepath.Dir(path)) != filepath.Base(name) {
			continue
		}
		file, err := parser.ParseFile(files, path, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		parsed = append(parsed, file)
	}
	shown, err := doc.NewFromFiles(files, parsed, module+"/"+name)
	if err != nil {
		t.Fatal(err)
	}
	count = values(shown.Consts) + values(shown.Vars) + len(shown.Funcs)
	for _, shownType := range shown.Types {
		count += 1 + values(shownType.Consts) + values(shownType.Vars) + len(shownType.Funcs) + len(shownType.Methods)
		for _, spec := range shownType.Decl.Specs {
			if declared, ok := spec.(*ast.TypeSpec); ok {
				if methods, ok := declared.Type.(*ast.InterfaceType); ok {
					for _, method := range methods.Methods.List {
						count += len(method.Names) // none of those that are embedded
					}
				}
			}
		}
	}
	return count
}

// values counts the exported constants or variables of some declarations.
func values(all []*doc.Value) (count int) {
	for _, declared := range all {
		for _, name := range declared.Names {
			if ast.IsExported(name) {
				count++
			}
		}
	}
	return count
}

// forbidden are the functions that a library leaves to its caller: streams,
// environment, the end of the process, and where a context comes from.
var forbidden = map[string]*regexp.Regexp{
	"os":      regexp.MustCompile(`^(Getenv|LookupEnv|Environ|ExpandEnv|Exit|Stdin|Stdout|Stderr)$`),
	"fmt":     regexp.MustCompile(`^Print`),
	"log":     regexp.MustCompile(`^(Print|Fatal|Panic|Default$)`),
	"context": regexp.MustCompile(`^(Background|TODO)$`),
}

// Programs among the packages may do so.
func TestLibraryLeavesTheProcessAlone(t *testing.T) {
	scanned := 0
	for _, path := range sources(t, "pkg") {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		scanned++
		for _, found := range uses(t, path) {
			t.Error(found)
		}
	}
	if scanned < 30 {
		t.Errorf("%d files scanned, want at least 30", scanned)
	}
}

// uses returns where a file of a library uses something forbidden, whatever it
// calls the package.
func uses(t *testing.T, path string) (found []string) {
	t.Helper()
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, path, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	if file.Name.Name == "main" {
		return nil
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
