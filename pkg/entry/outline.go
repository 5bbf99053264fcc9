package entry

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// Outline is as much of an entry as queries read: what a program keeps in memory
// that answers queries about many of them.
type Outline struct {
	Name          string
	Version       string
	Catalog       string
	Phase         Phase
	Distro        string
	Format        string // the export format, else "bootc" for what a machine boots from
	Schedule      string
	Architectures []string // all of them, in the order of the image's index
	Targets       []string // in lower case
	Tags          []string
	Labels        map[string]string
	Verdict       Verdict
	CreatedAt     Time
	SizeBytes     int64
	Text          string // what Query.Search looks in, ready to be compared
}

// Outline returns the item's outline. Its tags and labels are the item's:
// read-only.
func (i *Item) Outline() Outline {
	o := i.outline()
	o.Text = i.text()
	return o
}

// outline is Outline without its text, which most of the work is for.
func (i *Item) outline() Outline {
	o := Outline{
		Name: i.Name, Version: i.Version, Catalog: i.Catalog, Phase: i.Phase, Distro: i.Distro, Format: i.ExportFormat, Schedule: i.ScheduleName,
		Architectures: i.Architectures(), Tags: i.Tags, Labels: i.Labels, Verdict: i.Verdict,
		CreatedAt: i.CreatedAt, SizeBytes: i.SizeBytes,
	}
	if o.Format == "" && i.Bootc {
		o.Format = "bootc"
	}
	for _, target := range i.Targets {
		o.Targets = append(o.Targets, foldTarget(target.Name))
	}
	return o
}

// text returns what is searched, folded, a line each: no search finds what begins
// in one and ends in another.
func (i *Item) text() string {
	size := len(i.Name) + len(i.Description) + 2
	for _, tag := range i.Tags {
		size += len(tag) + 1
	}
	keys := make([]string, 0, len(i.Labels))
	for key, value := range i.Labels {
		size += len(key) + len(value) + 2
		keys = append(keys, key)
	}
	slices.Sort(keys)
	var b strings.Builder
	b.Grow(size)
	add := func(text string, end byte) {
		b.WriteString(fold(text))
		b.WriteByte(end)
	}
	add(i.Name, '\n')
	add(i.Description, '\n')
	for _, tag := range i.Tags {
		add(tag, '\n')
	}
	for _, key := range keys {
		add(key, '=')
		add(i.Labels[key], '\n')
	}
	return b.String()
}

// fold makes texts equal that differ in case only.
func fold(text string) string {
	for i := range len(text) {
		if text[i] >= utf8.RuneSelf {
			return strings.ToLower(strings.ToUpper(text))
		}
	}
	return strings.ToLower(text)
}
