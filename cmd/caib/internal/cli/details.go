package cli

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/oci-catalog/caib/pkg/entry"
)

// details prints everything about one entry for people: every reference can be
// pasted as it is.
func (a *app) details(described *shownItem, wide bool) error {
	item := described.Item
	writer := tabwriter.NewWriter(a.system.Out, 0, 0, 2, ' ', 0)
	shown := *item
	shown.Verdict = a.signedCell(item.Verdict)
	for _, field := range fields(&shown, described.Location) {
		if field[1] != "" {
			fmt.Fprintf(writer, "%s:\t%s\n", field[0], oneLine.Replace(field[1]))
		}
	}
	if err := writer.Flush(); err != nil {
		return err
	}
	for _, s := range []section{platforms(item), artifacts(item), attached(item, wide), signers(item), conditions(item)} {
		if len(s.rows) == 0 {
			continue
		}
		fmt.Fprintf(a.system.Out, "\n%s\n", s.title)
		if err := a.rows(s.header, s.rows); err != nil {
			return err
		}
	}
	for n, command := range described.Commands {
		if n == 0 {
			fmt.Fprint(a.system.Out, "\nGet it with\n")
		}
		fmt.Fprintf(a.system.Out, "  %s\n", oneLine.Replace(command.Line))
	}
	return nil
}

func fields(i *entry.Item, location string) [][2]string {
	layers := fmt.Sprintf("%s in %d layers", size(i.SizeBytes), i.LayerCount)
	if i.LayerCount == 1 {
		layers = size(i.SizeBytes) + " in 1 layer"
	}
	labels := make([]string, 0, len(i.Labels))
	for _, key := range slices.Sorted(maps.Keys(i.Labels)) {
		labels = append(labels, key+"="+i.Labels[key])
	}
	built := ""
	if i.ImageCreatedAt != nil {
		built = moment(*i.ImageCreatedAt)
	}
	return [][2]string{
		{"Name", i.Name}, {"Version", i.Version}, {"Description", i.Description},
		{"Image", i.RegistryURL}, {"Location", location}, {"Digest", string(i.Digest)}, {"Size", layers},
		{"Architecture", strings.Join(i.Architectures(), ", ")},
		{"Distro", strings.TrimSpace(i.Distro + " " + i.DistroVersion)}, {"Kernel", i.KernelVersion},
		{"Targets", targets(i.Targets)}, {"Build mode", i.BuildMode}, {"Format", i.Outline().Format},
		{"Tags", strings.Join(i.Tags, ", ")}, {"Labels", strings.Join(labels, ", ")},
		{"Phase", strings.TrimSpace(string(i.Phase) + " " + i.StatusReason + " " + i.StatusMessage)}, {"Last verified", moment(i.LastVerified)},
		{"Signed", string(i.Verdict)}, {"Built", built},
		{"Published", strings.TrimSuffix(moment(i.PublishedAt)+" by "+i.PublishedBy, " by ")},
		{"Pipeline", strings.TrimSpace(i.Build.System + " " + i.Build.URL)}, {"Commit", strings.TrimSpace(i.Build.Commit + " " + i.Build.Ref)},
		{"Source", strings.TrimSpace(string(i.SourceType) + " " + i.SourceImageBuild)}, {"Schedule", i.ScheduleName},
		{"Download", i.DownloadURL}, {"Revision", string(i.Revision)}, {"Catalog", i.Catalog},
	}
}

func targets(all []entry.Target) string {
	words := make([]string, len(all))
	for n, target := range all {
		words[n] = target.Name
		if target.Verified {
			words[n] += " (verified)"
		}
		if target.Notes != "" {
			words[n] += ": " + target.Notes
		}
	}
	return strings.Join(words, ", ")
}

func moment(t entry.Time) string { return t.UTC().Format(time.DateTime) + " UTC" }

// section is one table among the details.
type section struct {
	title  string
	header []string
	rows   [][]string
}

func platforms(i *entry.Item) section {
	s := section{"Platforms", []string{"ARCH", "OS", "VARIANT", "LAYERS", "SIZE", "REFERENCE"}, nil}
	for _, p := range i.PlatformVariants {
		s.rows = append(s.rows, []string{p.Architecture, p.OS, p.Variant, fmt.Sprint(p.LayerCount), size(p.SizeBytes), entry.Pinned(i.RegistryURL, p.Digest)})
	}
	return s
}

func artifacts(i *entry.Item) section {
	s := section{"Artifacts", []string{"TITLE", "PARTITION", "FORMAT", "COMPRESSION", "SIZE", "UNPACKED", "CHECKSUM", "REFERENCE"}, nil}
	for _, a := range i.ArtifactRefs {
		unpacked := ""
		if a.DecompressedSize > 0 {
			unpacked = size(a.DecompressedSize)
		}
		s.rows = append(s.rows, []string{a.Title, a.Partition, a.Format, a.Compression, size(a.SizeBytes), unpacked, string(a.Digest), a.URL})
	}
	return s
}

// attached lists the referrers: by plain name where they have one, else by
// type.
func attached(i *entry.Item, wide bool) section {
	s := section{"Attached", []string{"WHAT", "TITLE", "SIZE", "CHECKSUM", "REFERENCE"}, nil}
	if wide {
		s.header = append(s.header, "TYPE", "PLATFORM")
	}
	for _, r := range i.Referrers {
		what := r.Kind
		if what == "" {
			what = r.Type
		}
		row := []string{what, r.Title, size(r.SizeBytes), string(r.FileDigest), r.URL}
		if wide {
			row = append(row, r.Type, string(r.Platform))
		}
		s.rows = append(s.rows, row)
	}
	return s
}

// signers lists who has signed, of those whom the policy names.
func signers(i *entry.Item) section {
	s := section{"Signed by", []string{"SIGNER", "WHAT", "WHEN", "FORMAT"}, nil}
	for _, by := range i.Signers {
		when := ""
		if by.Time != nil {
			when = moment(*by.Time)
		}
		s.rows = append(s.rows, []string{by.Name, by.What, when, by.Format})
	}
	return s
}

func conditions(i *entry.Item) section {
	s := section{"Conditions", []string{"TYPE", "STATUS", "REASON", "SINCE", "MESSAGE"}, nil}
	for _, c := range i.Conditions {
		s.rows = append(s.rows, []string{c.Type, c.Status, c.Reason, moment(c.LastTransitionTime), c.Message})
	}
	return s
}
