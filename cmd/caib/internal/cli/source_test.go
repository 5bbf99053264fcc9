package cli

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"
)

var binder = regexp.MustCompile(`^(\w*VarP?|listFlag)$`)

// reads are the uses of fields in sources: by name, how often one is selected
// other than to be assigned to, and where flags are bound to them.
type reads struct {
	selected map[string]int
	bound    map[string]token.Position
}

func readSources(t *testing.T, dir string) reads {
	t.Helper()
	r := reads{map[string]int{}, map[string]token.Position{}}
	files := token.NewFileSet()
	paths, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(files, path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Walk(&visitor{reads: &r, files: files}, file)
	}
	return r
}

type visitor struct {
	reads *reads
	files *token.FileSet
}

func (v *visitor) Visit(node ast.Node) ast.Visitor {
	switch n := node.(type) {
	case *ast.CallExpr:
		if name, ok := called(n); ok && binder.MatchString(name) {
			for _, argument := range n.Args {
				v.bind(argument)
			}
			return nil
		}
	case *ast.AssignStmt:
		for _, left := range n.Lhs {
			if s, ok := left.(*ast.SelectorExpr); ok {
				ast.Walk(v, s.X)
			} else {
				ast.Walk(v, left)
			}
		}
		for _, right := range n.Rhs {
			ast.Walk(v, right)
		}
		return nil
	case *ast.SelectorExpr:
		v.reads.selected[n.Sel.Name]++
	}
	return v
}

func called(call *ast.CallExpr) (string, bool) {
	switch f := call.Fun.(type) {
	case *ast.SelectorExpr:
		return f.Sel.Name, true
	case *ast.Ident:
		return f.Name, true
	}
	return "", false
}

// bind records the fields whose addresses a flag takes.
func (v *visitor) bind(argument ast.Expr) {
	ast.Inspect(argument, func(node ast.Node) bool {
		address, ok := node.(*ast.UnaryExpr)
		if !ok || address.Op != token.AND {
			return true
		}
		if field, ok := address.X.(*ast.SelectorExpr); ok {
			v.reads.bound[field.Sel.Name] = v.files.Position(address.Pos())
		}
		return true
	})
}

// Every field that a flag sets is read: one of this package by this package,
// one of the library's options by the library.
func TestEveryFlagIsRead(t *testing.T) {
	ours := readSources(t, ".")
	library := []reads{readSources(t, "../../../../pkg/catalog"), readSources(t, "../../../../pkg/entry")}
	if len(ours.bound) < 30 {
		t.Fatalf("only %d bound fields found", len(ours.bound))
	}
	for name, where := range ours.bound {
		used := ours.selected[name]
		if unicode.IsUpper(rune(name[0])) {
			used = 0
			for _, l := range library {
				used += l.selected[name]
			}
		}
		if used == 0 {
			t.Errorf("%s: nothing reads %s", where, name)
		}
	}
}

// Nothing in this package but System reaches past its streams.
func TestOnlySystemReachesOutside(t *testing.T) {
	forbidden := regexp.MustCompile(`\b(os\.(Stdin|Stdout|Stderr|Getenv|LookupEnv|Environ|Exit)|fmt\.Print\w*|context\.(Background|TODO)\(|time\.Now\()`)
	paths, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		before, after, _ := strings.Cut(string(text), "\nfunc System() Streams {")
		_, after, _ = strings.Cut(after, "\n}\n")
		for _, found := range forbidden.FindAllString(before+after, -1) {
			t.Errorf("%s uses %s", path, found)
		}
	}
}
