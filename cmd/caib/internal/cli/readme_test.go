package cli

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

const repository = "../../../../"

// document is the text of a file at the root of the repository, or of a help
// topic.
func document(t fataler, name string) string {
	path := filepath.Join("topics", name+".txt")
	if strings.Contains(name, ".") || name == "Makefile" {
		path = repository + name
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v", err)
	}
	return string(text)
}

type fataler interface{ Fatalf(string, ...any) }

// shownCommands are the command lines that a document shows, as words.
func shownCommands(text string) (commands [][]string) {
	shown := regexp.MustCompile(`^(\$|.* \|) caib `)
	word := regexp.MustCompile(`"[^"]*"|'[^']*'|\S+`)
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		start := shown.FindString(line)
		if start == "" || !strings.HasPrefix(line, "$ ") {
			continue
		}
		line, _, _ = strings.Cut(line[len(start):], " # ") // a comment for people
		words := word.FindAllString(line, -1)
		for i := range words {
			words[i] = strings.Trim(words[i], `"'`)
		}
		commands = append(commands, words)
	}
	return commands
}

// Every command line in README and the help topics parses: the
// verb exists, and so does each flag with the value it is given.
func TestShownCommandsParse(t *testing.T) {
	least := map[string]int{"README.md": 13, "signing": 6, "policies": 5, "servers": 6, "registries": 3, "builds": 3, "recovery": 12, "logins": 2, "settings": 1, "pipelines": 1, "exit-codes": 0}
	for name, least := range least {
		commands := shownCommands(document(t, name))
		for _, words := range commands {
			if err := parses(words); err != nil {
				t.Errorf("%s shows caib %s: %v", name, strings.Join(words, " "), err)
			}
		}
		if len(commands) < least {
			t.Errorf("%s shows %d commands, want at least %d", name, len(commands), least)
		}
	}
}

// guides are the documents for people at the root of the repository.
var guides = []string{"README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"}

// The files, sections, help topics and make targets that guides name exist.
func TestGuidesPointSomewhere(t *testing.T) {
	makefile := document(t, "Makefile")
	for _, name := range guides {
		text := document(t, name)
		for _, found := range regexp.MustCompile(`\]\(([^)#:]+)(?:#([^)]*))?\)`).FindAllStringSubmatch(text, -1) {
			if _, err := os.Stat(repository + found[1]); err != nil {
				t.Errorf("%s points to %s: %v", name, found[1], err)
			} else if found[2] != "" && !slices.Contains(anchors(document(t, found[1])), found[2]) {
				t.Errorf("%s points to a section %s of %s, which does not exist", name, found[2], found[1])
			}
		}
		for _, found := range regexp.MustCompile("`caib help ([a-z-]+)`").FindAllStringSubmatch(text, -1) {
			if !slices.Contains(topicNames, found[1]) {
				t.Errorf("%s names the help topic %q, which does not exist", name, found[1])
			}
		}
		for _, found := range regexp.MustCompile("(?m)(?:^|`)make ([a-z]+)\\b").FindAllStringSubmatch(text, -1) {
			if !strings.Contains(makefile, "\n"+found[1]+":") {
				t.Errorf("%s shows make %s, which does not exist", name, found[1])
			}
		}
	}
}

// anchors are what links call the sections of a Markdown text.
func anchors(text string) (all []string) {
	for _, found := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(text, -1) {
		word := regexp.MustCompile(`[^a-z0-9 -]`).ReplaceAllString(strings.ToLower(found[1]), "")
		all = append(all, strings.ReplaceAll(word, " ", "-"))
	}
	return all
}

// rows are the rows of the table with this heading, by their first cell.
func rows(text, heading string) map[string][]string {
	_, table, _ := strings.Cut(text, "\n"+heading+"\n")
	all := map[string][]string{}
	for line := range strings.Lines(table) {
		if !strings.HasPrefix(line, "|") {
			break
		}
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "| "), " | ")
		all[cells[0]] = cells[1:]
	}
	return all
}

// What SECURITY.md says of attacks is what the specification says, whose cells
// are tested one by one.
func TestSecurityExtract(t *testing.T) {
	whole := rows(document(t, "schema/SPEC.md"), "| attack | cold | warm | again | policy, cold | policy, warm | policy, again | said |")
	extract := rows(document(t, "SECURITY.md"), "| attack | warm | policy, cold | policy, warm |")
	if len(extract) < 10 {
		t.Fatalf("SECURITY.md has %d attacks, want 10", len(extract))
	}
	for attack, got := range extract {
		if cells := whole[attack]; len(cells) > 4 {
			if diff := cmp.Diff([]string{cells[1], cells[3], cells[4]}, got); diff != "" {
				t.Errorf("%s (-specification +SECURITY.md)\n%s", attack, diff)
			}
		} else if !strings.HasPrefix(attack, "--") {
			t.Errorf("the specification has no attack %q", attack)
		}
	}
}

// CONTRIBUTING.md says of every package what it owns.
func TestPackagesAreDescribed(t *testing.T) {
	described := rows(document(t, "CONTRIBUTING.md"), "| package | owns |")
	for _, pattern := range []string{"pkg/*", "pkg/internal/*", "schema", "schema/*", "cmd/*", "examples", "internal", "e2e"} {
		paths, err := filepath.Glob(repository + pattern)
		if err != nil || len(paths) == 0 {
			t.Fatalf("%s: %v", pattern, err)
		}
		for _, path := range paths {
			code, _ := filepath.Glob(path + "/*.go")
			name := "`" + strings.TrimPrefix(filepath.ToSlash(path), repository) + "`"
			if _, ok := described[name]; !ok && (len(code) > 0 || !strings.Contains(pattern, "*")) {
				t.Errorf("CONTRIBUTING.md does not say what %s owns", name)
			}
			delete(described, name)
		}
	}
	delete(described, "---|---")
	if len(described) > 0 {
		t.Errorf("CONTRIBUTING.md describes what is not there: %q", slices.Sorted(maps.Keys(described)))
	}
}

// What CHANGELOG.md says names are now, they are.
func TestChangelogNamesExist(t *testing.T) {
	declared := map[string]bool{}
	for _, name := range []string{"api", "catalog", "client", "entry", "registry", "server", "trust"} {
		files, err := filepath.Glob(repository + "pkg/" + name + "/*.go")
		if err != nil || len(files) == 0 {
			t.Fatalf("pkg/%s: %v", name, err)
		}
		for _, path := range files {
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			for _, found := range declarations(file) {
				declared[name+"."+found] = true
			}
		}
	}
	names := 0
	for before, cells := range rows(document(t, "CHANGELOG.md"), "| before | now | why |") {
		if strings.HasPrefix(before, "-") {
			continue
		}
		for _, found := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(cells[0], -1) {
			if names++; !declared[found[1]] {
				t.Errorf("there is no %s", found[1])
			}
		}
	}
	if names < 10 {
		t.Errorf("%d names found, want at least 10", names)
	}
}

// declarations are the types, functions and methods of a file: T, F, T.M.
func declarations(file *ast.File) (all []string) {
	for _, one := range file.Decls {
		switch d := one.(type) {
		case *ast.FuncDecl:
			name := d.Name.Name
			if d.Recv != nil {
				receiver := d.Recv.List[0].Type
				if star, ok := receiver.(*ast.StarExpr); ok {
					receiver = star.X
				}
				if named, ok := receiver.(*ast.Ident); ok {
					name = named.Name + "." + name
				}
			}
			all = append(all, name)
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				switch s := spec.(type) {
				case *ast.TypeSpec:
					all = append(all, s.Name.Name)
				case *ast.ValueSpec:
					for _, name := range s.Names {
						all = append(all, name.Name)
					}
				}
			}
		}
	}
	return all
}

// The workflow runs .ci/run with pinned actions, and may only read.
func TestWorkflow(t *testing.T) {
	var workflow struct {
		Permissions map[string]string
		Jobs        map[string]struct {
			Permissions map[string]string
			Steps       []struct{ Uses, Run string }
		}
	}
	if err := yaml.Unmarshal([]byte(document(t, ".github/workflows/check.yml")), &workflow); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"contents": "read"}, workflow.Permissions); diff != "" {
		t.Errorf("permissions (-want +got)\n%s", diff)
	}
	runs := false
	for name, job := range workflow.Jobs {
		if job.Permissions != nil {
			t.Errorf("job %s has permissions of its own: %v", name, job.Permissions)
		}
		for _, step := range job.Steps {
			if step.Uses != "" && !regexp.MustCompile(`@v\d+\.\d+\.\d+$`).MatchString(step.Uses) {
				t.Errorf("action %s is not pinned to a version", step.Uses)
			}
			runs = runs || strings.HasSuffix(step.Run, " .ci/run")
		}
	}
	if !runs {
		t.Error("it does not call .ci/run")
	}
}
