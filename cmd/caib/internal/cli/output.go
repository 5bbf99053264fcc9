package cli

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	jsonv1 "github.com/go-json-experiment/json/v1"
	"go.yaml.in/yaml/v3"

	"github.com/oci-catalog/caib/pkg/entry"
)

// document prints v as JSON or YAML, with the same keys in the same order. JSON
// is written as it is made: a large catalog is not held in memory again.
func (a *app) document(format string, v any) error {
	if format == "yaml" {
		text, err := json.Marshal(v)
		if err != nil {
			return err
		}
		return a.yaml(text)
	}
	out := bufio.NewWriterSize(a.system.Out, 64<<10)
	if err := jsonv2.MarshalWrite(out, v, jsonv1.DefaultOptionsV1(), jsontext.EscapeForHTML(false), jsontext.WithIndent("  ")); err != nil {
		return err
	}
	if err := out.WriteByte('\n'); err != nil {
		return err
	}
	return out.Flush()
}

// yaml prints JSON as YAML. JSON is YAML already, in another style.
func (a *app) yaml(text []byte) error {
	var node yaml.Node
	if err := yaml.Unmarshal(text, &node); err != nil {
		return err
	}
	plainStyle(&node)
	encoder := yaml.NewEncoder(a.system.Out)
	encoder.SetIndent(2)
	if err := encoder.Encode(&node); err != nil {
		return err
	}
	return encoder.Close()
}

func plainStyle(node *yaml.Node) {
	node.Style = 0
	for _, child := range node.Content {
		plainStyle(child)
	}
}

// column is one of the table of entries.
type column struct {
	title string
	wide  bool // only in -o wide
	cell  func(item *entry.Item, outline *entry.Outline, now time.Time) string
}

// columns are those of the table, with how to fill them.
var columns = []column{
	{"NAME", false, func(i *entry.Item, _ *entry.Outline, _ time.Time) string { return i.Name }},
	{"VERSION", false, func(i *entry.Item, _ *entry.Outline, _ time.Time) string { return i.Version }},
	{"ARCH", false, func(_ *entry.Item, o *entry.Outline, _ time.Time) string { return strings.Join(o.Architectures, ",") }},
	{"DISTRO", false, func(i *entry.Item, _ *entry.Outline, _ time.Time) string { return i.Distro }},
	{"TARGET", false, func(_ *entry.Item, o *entry.Outline, _ time.Time) string { return strings.Join(o.Targets, ",") }},
	{"FORMAT", false, func(_ *entry.Item, o *entry.Outline, _ time.Time) string { return o.Format }},
	{"PHASE", false, func(i *entry.Item, _ *entry.Outline, _ time.Time) string { return string(i.Phase) }},
	{"SIGNED", false, func(i *entry.Item, _ *entry.Outline, _ time.Time) string { return string(i.Verdict) }},
	{"AGE", false, func(i *entry.Item, _ *entry.Outline, now time.Time) string { return age(now.Sub(i.CreatedAt.Time)) }},
	{"IMAGE", false, func(i *entry.Item, _ *entry.Outline, _ time.Time) string { return i.RegistryURL }},
	{"TAGS", true, func(i *entry.Item, _ *entry.Outline, _ time.Time) string { return strings.Join(i.Tags, ",") }},
	{"SIZE", true, func(i *entry.Item, _ *entry.Outline, _ time.Time) string { return size(i.SizeBytes) }},
	{"DIGEST", true, func(i *entry.Item, _ *entry.Outline, _ time.Time) string { return string(i.Digest) }},
}

// allColumns are those that can be chosen.
var allColumns = append(slices.Clone(columns), column{"CATALOG", true, func(i *entry.Item, _ *entry.Outline, _ time.Time) string { return i.Catalog }})

// table prints items in columns; several catalogs get a column of their own. bare
// leaves the header out. Columns that were chosen are printed whole.
func (a *app) table(items []entry.Item, wide, bare bool, chosen ...column) error {
	printed := a.rows
	if len(chosen) == 0 {
		printed = a.fitted
		for _, c := range columns {
			if wide || !c.wide {
				chosen = append(chosen, c)
			}
		}
		if slices.ContainsFunc(items, func(i entry.Item) bool { return i.Catalog != "" }) {
			chosen = append(chosen, allColumns[len(allColumns)-1])
		}
	}
	var header []string
	for _, c := range chosen {
		header = append(header, c.title)
	}
	rows := make([][]string, len(items))
	now := a.system.Now()
	for n := range items {
		item := items[n]
		outline := item.Outline()
		item.Verdict = a.signedCell(item.Verdict)
		for _, c := range chosen {
			rows[n] = append(rows[n], c.cell(&item, &outline, now))
		}
	}
	if bare {
		header = nil
	}
	return printed(header, rows)
}

// oneLine keeps a cell within its row and column.
var oneLine = strings.NewReplacer("\t", " ", "\n", " ")

// rows prints a table with a header, nil for none; an empty cell is a dash.
func (a *app) rows(header []string, rows [][]string) error {
	var text bytes.Buffer
	writer := tabwriter.NewWriter(&text, 0, 0, 3, ' ', 0)
	if header != nil {
		rows = append([][]string{header}, rows...)
	}
	for _, row := range rows {
		for i, cell := range row {
			if cell == "" {
				cell = "-"
			}
			if i > 0 {
				fmt.Fprint(writer, "\t")
			}
			fmt.Fprint(writer, oneLine.Replace(cell))
		}
		fmt.Fprintln(writer)
	}
	if err := writer.Flush(); err != nil {
		return err
	}
	if header == nil {
		_, err := text.WriteTo(a.system.Out)
		return err
	}
	head, rest, _ := strings.Cut(text.String(), "\n")
	paint(a.system.Out, a.outColour(), bold, head)
	_, err := io.WriteString(a.system.Out, "\n"+rest)
	return err
}

// age is a duration as tables show it: its largest unit.
func age(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d < 0:
		return "0s"
	case d < 2*time.Minute:
		return fmt.Sprintf("%ds", d/time.Second)
	case d < 2*time.Hour:
		return fmt.Sprintf("%dm", d/time.Minute)
	case d < 2*day:
		return fmt.Sprintf("%dh", d/time.Hour)
	case d < 2*365*day:
		return fmt.Sprintf("%dd", d/day)
	}
	return fmt.Sprintf("%dy", d/(365*day))
}

// size is a number of bytes in binary units.
func size(bytes int64) string {
	if bytes < 1024 {
		return fmt.Sprintf("%d B", bytes)
	}
	value, unit := float64(bytes), -1
	for value >= 1023.95 && unit < 5 { // what would be rounded to 1024.0
		value /= 1024
		unit++
	}
	return fmt.Sprintf("%.1f %ciB", value, "KMGTPE"[unit])
}
