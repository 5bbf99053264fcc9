package cli

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/oci-catalog/caib/pkg/entry"
)

const (
	columnGap = 3
	narrowest = 8 // how narrow a column may become, in characters
)

var longDigest = regexp.MustCompile(`\b(sha256:[0-9a-f]{12})[0-9a-f]{52}\b`)

// fitted makes a table fit the terminal that it is printed on: columns that are empty
// in all rows are left out, digests are shortened, and the widest columns but the
// first are cut until a row is a line. Where it is not printed on one, nothing is
// changed.
func (a *app) fitted(header []string, rows [][]string) error {
	if !a.system.OutTerminal {
		return a.rows(header, rows)
	}
	var used []int
	for i := range max(len(header), longestRow(rows)) {
		if i == 0 || slices.ContainsFunc(rows, func(row []string) bool { return i < len(row) && row[i] != "" }) {
			used = append(used, i)
		}
	}
	rows = slices.Clone(rows)
	for n, row := range rows {
		rows[n] = pick(row, used)
		for i, cell := range rows[n] {
			rows[n][i] = longDigest.ReplaceAllString(oneLine.Replace(cell), "$1…")
		}
	}
	if header != nil {
		header = pick(header, used)
	}
	narrow(header, rows, a.system.OutWidth)
	return a.rows(header, rows)
}

func longestRow(rows [][]string) (most int) {
	for _, row := range rows {
		most = max(most, len(row))
	}
	return most
}

// pick returns the cells of a row in some columns.
func pick(row []string, columns []int) []string {
	picked := make([]string, len(columns))
	for n, i := range columns {
		if i < len(row) {
			picked[n] = row[i]
		}
	}
	return picked
}

// narrow cuts cells until all columns fit into width characters, as far as that can
// be; 0 is any width. The first column, which says what a row is about, stays whole.
func narrow(header []string, rows [][]string, width int) {
	if width <= 0 {
		return
	}
	widths := make([]int, max(len(header), longestRow(rows)))
	for _, row := range append([][]string{header}, rows...) {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	total := columnGap * (len(widths) - 1)
	for _, w := range widths {
		total += w
	}
	for ; total > width; total-- {
		widest := 0
		for i := 1; i < len(widths); i++ {
			if widths[i] > narrowest && (widest == 0 || widths[i] >= widths[widest]) {
				widest = i
			}
		}
		if widest == 0 {
			return
		}
		widths[widest]--
	}
	for _, row := range rows {
		for i, cell := range row {
			if runes := []rune(cell); len(runes) > widths[i] {
				row[i] = string(runes[:widths[i]-1]) + "…"
			}
		}
	}
}

// chosenColumns returns the columns of --columns, by their titles in any case.
func chosenColumns(words []string) ([]column, error) {
	var chosen []column
	for _, word := range words {
		i := slices.IndexFunc(allColumns, func(c column) bool { return strings.EqualFold(c.title, word) })
		if i < 0 {
			var titles []string
			for _, c := range allColumns {
				titles = append(titles, c.title)
			}
			return nil, withHint(fmt.Errorf("%w: --columns: there is no column %q", entry.ErrInvalid, word), "there are %s", strings.Join(titles, ", "))
		}
		chosen = append(chosen, allColumns[i])
	}
	return chosen, nil
}

// checkColumns refuses --columns where no table is printed.
func (o *listOptions) checkColumns() error {
	if _, err := chosenColumns(o.columns); err != nil {
		return err
	}
	if output := cmp.Or(o.settings.output, "table"); len(o.columns) > 0 && output != "table" && output != "wide" {
		return withHint(fmt.Errorf("%w: --columns is for tables, not for -o %s", entry.ErrInvalid, output), "leave one of the two out")
	}
	return nil
}
