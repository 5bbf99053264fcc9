package catalog

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/revision"
)

// noteLosses tells what the live entry says and the publication does not, and of a
// version that is lower than the one before.
func (p *publication) noteLosses() {
	if p.old == nil {
		return
	}
	p.result.Loses = losses(p.old.Document, p.document)
	if len(p.result.Loses) > 0 {
		p.warn(WarnEntry, "entry %q loses: %s", p.name, strings.Join(p.result.Loses, ", "))
	}
	if last, own := completedAt(p.old.Document), p.options.ImageBuild.CompletedAt; !last.IsZero() && !own.IsZero() {
		if own.Before(last) {
			p.warn(WarnEntry, "entry %q: build %q was completed at %s, before %q, which it follows: %s", p.name, p.options.ImageBuild.Name,
				own.Format(time.RFC3339), p.old.Document.Source.ImageBuild, last.Format(time.RFC3339))
		}
		return
	}
	was, is := p.old.Document.Version, p.document.Version
	if was != "" && is != "" && entry.CompareVersions(is, was) < 0 {
		p.warn(WarnEntry, "entry %q: version %s is lower than %s, which it follows", p.name, is, was)
	}
}

// losses names what a document says and the one after it leaves out; that it says
// something else is no loss.
func losses(before, after *revision.Document) (lost []string) {
	gone := func(is bool, what string) {
		if is {
			lost = append(lost, what)
		}
	}
	gone(before.Version != "" && after.Version == "", "version")
	gone(before.Description != "" && after.Description == "", "description")
	for _, tag := range before.Tags {
		gone(!slices.Contains(after.Tags, tag), "tag "+tag)
	}
	for _, key := range slices.Sorted(maps.Keys(before.Labels)) {
		_, kept := after.Labels[key]
		gone(!kept, "label "+key)
	}
	for _, target := range before.Metadata.Targets {
		i := indexTarget(after.Metadata.Targets, target.Name)
		if i < 0 {
			what := "target " + target.Name
			if target.Verified {
				what += " verified"
			}
			gone(true, what)
			continue
		}
		gone(target.Verified && !after.Metadata.Targets[i].Verified, "target "+target.Name+" verified")
		gone(target.Notes != "" && after.Metadata.Targets[i].Notes == "", "target "+target.Name+" note")
	}
	for _, member := range []string{"architecture", "os", "variant", "distro", "distroVersion", "kernelVersion", "buildMode", "exportFormat"} {
		gone(*before.Metadata.Text(member) != "" && *after.Metadata.Text(member) == "", member)
	}
	gone(before.Metadata.Bootc && !after.Metadata.Bootc, "bootc")
	return lost
}
