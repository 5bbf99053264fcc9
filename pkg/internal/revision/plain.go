package revision

import (
	"bytes"
	"slices"
	"strings"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/opencontainers/go-digest"
)

// Nearly all documents are plain: well within every bound of the schema, in
// ASCII, without null or empty strings. Seeing that takes a hundredth of the
// time of validating against the schema, which a list of 10,000 entries would
// otherwise spend most of its time on. What is plain is valid, and a fuzz test
// holds that against the schema; what is not plain, the schema decides.

// What words may hold besides letters and digits.
const (
	tagMarks    = "._:/@+-"
	keyMarks    = "._/-"
	verMarks    = "._:+~-"
	mediaMarks  = ".+-"
	systemMarks = "._-"
	hostMarks   = ".:-"
	urlMarks    = "._:/@+~%&=?#-"
	maxBytes    = 1<<53 - 1
)

// isPlainDocument reports whether a document, decoded without error from text, is
// plain.
func isPlainDocument(d *Document, text []byte) bool {
	if len(text) > MaxDocument || bytes.Contains(text, []byte("null")) || bytes.Contains(text, []byte(`""`)) {
		return false
	}
	plain := entry.CheckName(d.Name) == nil && isPlainImage(&d.Image) && isPlainMetadata(&d.Metadata) && isPlainObserved(&d.Registry) &&
		(d.Version == "" || isWord(d.Version, verMarks, 128)) && isText(d.Description, 4096) && isText(d.PublishedBy, 256) && isText(d.Catalog, 1024) &&
		isPlainSource(&d.Source) && isPlainBuild(&d.Build) && !d.PublishedAt.IsZero() && len(d.Tags) <= 64 && len(d.Labels) <= 128 && len(d.Artifacts) <= 256 && len(d.Mismatches) <= 32
	if !plain {
		return false
	}
	for i, tag := range d.Tags {
		if !isWord(tag, tagMarks, 128) || slices.Contains(d.Tags[:i], tag) {
			return false
		}
	}
	for key, value := range d.Labels {
		if !isWord(key, keyMarks, 253) || !isAlphanumeric(key[len(key)-1]) || !isText(value, 1024) {
			return false
		}
	}
	return !slices.ContainsFunc(d.Artifacts, func(a Artifact) bool { return !isPlainArtifact(&a) }) &&
		!slices.ContainsFunc(d.Mismatches, func(m Mismatch) bool { return !isPlainMismatch(&m) })
}

func isPlainImage(i *Image) bool {
	return i.Reference != "" && isText(i.Reference, 1024) && isDigest(i.Digest) && isMediaType(i.MediaType) && i.Size > 0 && i.Size <= maxBytes
}

func isPlainMetadata(m *entry.Metadata) bool {
	for _, value := range []string{m.Architecture, m.OS, m.Variant, m.Distro, m.DistroVersion, m.KernelVersion, m.ExportFormat} {
		if !isText(value, 256) {
			return false
		}
	}
	switch m.BuildMode {
	case "", "bootc", "image", "package":
	default:
		return false
	}
	return len(m.Targets) <= 64 && !slices.ContainsFunc(m.Targets, func(t entry.Target) bool {
		return t.Name == "" || !isText(t.Name, 256) || !isText(t.Notes, 1024)
	})
}

func isPlainMismatch(m *Mismatch) bool {
	return m.Field != "" && isText(m.Field, 256) && isText(m.Image, 256) && isText(m.Publisher, 256)
}

func isPlainObserved(o *Observed) bool {
	return isSize(o.SizeBytes) && isCount(o.LayerCount) && len(o.Platforms) <= 256 && len(o.Referrers) <= 256 &&
		!slices.ContainsFunc(o.Referrers, func(r Referrer) bool { return !isPlainReferrer(&r) }) &&
		!slices.ContainsFunc(o.Platforms, func(p entry.Platform) bool {
			return p.Architecture == "" || !isText(p.Architecture, 256) || !isText(p.OS, 256) || !isText(p.Variant, 256) ||
				!isDigest(p.Digest) || !isSize(p.SizeBytes) || !isCount(p.LayerCount)
		})
}

func isPlainArtifact(a *Artifact) bool {
	return a.Type != "" && isText(a.Type, 256) && a.Reference != "" && isText(a.Reference, 1024) && isDigest(a.Digest) &&
		isSize(a.SizeBytes) && isText(a.Format, 256) && isText(a.Title, 256) && isText(a.Partition, 256) &&
		isText(a.Compression, 256) && isSize(a.DecompressedSize)
}

func isPlainReferrer(r *Referrer) bool {
	return r.Type != "" && isText(r.Type, 256) && isText(r.PredicateType, 256) && isDigest(r.Digest) && isSize(r.SizeBytes) &&
		isText(r.Title, 256) && (r.FileDigest == "" || isDigest(r.FileDigest)) && (r.Subject == "" || isDigest(r.Subject))
}

func isPlainSource(s *entry.Source) bool {
	switch s.Type {
	case entry.SourceImageBuild, entry.SourceExternal, entry.SourceManual, entry.SourceScheduled:
		return isText(s.ImageBuild, 256) && isText(s.Schedule, 256)
	}
	return false
}

func isPlainBuild(b *entry.Build) bool {
	return (b.System == "" || isWord(b.System, systemMarks, 64) && strings.ToLower(b.System) == b.System) && isPlainURL(b.URL) &&
		(b.Commit == "" || len(b.Commit) >= 7 && len(b.Commit) <= 64 && strings.Trim(b.Commit, hexadecimal) == "") && isText(b.Ref, 256)
}

// isPlainURL reports nothing, or an http or https URL of plain characters without a
// user.
func isPlainURL(text string) bool {
	if text == "" {
		return true
	}
	scheme, rest, _ := strings.Cut(text, "://")
	host, _, _ := strings.Cut(rest, "/")
	return (scheme == "http" || scheme == "https") && len(text) <= 1024 && isWord(host, hostMarks, 255) && isWord(strings.ReplaceAll(rest, "/", "."), urlMarks, 1024)
}

// isText reports printable ASCII of at most so many bytes.
func isText(text string, most int) bool {
	if len(text) > most {
		return false
	}
	for i := range len(text) {
		if text[i] < ' ' || text[i] > '~' {
			return false
		}
	}
	return true
}

// isWord reports letters, digits and marks that begin with a letter or digit.
func isWord(text, marks string, most int) bool {
	if text == "" || len(text) > most || !isAlphanumeric(text[0]) {
		return false
	}
	for i := range len(text) {
		if !isAlphanumeric(text[i]) && strings.IndexByte(marks, text[i]) < 0 {
			return false
		}
	}
	return true
}

func isAlphanumeric(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

func isDigest(d digest.Digest) bool {
	encoded, ok := strings.CutPrefix(string(d), "sha256:")
	return ok && len(encoded) == 64 && strings.Trim(encoded, hexadecimal) == ""
}

func isMediaType(mediaType string) bool {
	major, minor, ok := strings.Cut(mediaType, "/")
	return ok && isWord(major, mediaMarks, 127) && isWord(minor, mediaMarks, 127)
}

func isSize(bytes int64) bool { return bytes >= 0 && bytes <= maxBytes }
func isCount(n int) bool      { return n >= 0 && n <= 1_000_000 }
