package revision

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/opencontainers/go-digest"
)

// What parses is spelled back as it was, and can be a registry's tag.
func FuzzParseTag(f *testing.F) {
	for _, text := range []string{
		"autosd.0mm7kwn40.p0123456789abcdef", "a.b-c.zzzzzzzzz.rffffffffffffffff", "_snapshot.000000000.s0000000000000000",
		"latest", "sha256-0123.sig", "a..000000000.p0123456789abcdef", ".", "",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		tag, ok := ParseTag(text)
		if !ok {
			return
		}
		if got := tag.String(); got != text || len(text) > 128 {
			t.Errorf("%q is spelled back as %q", text, got)
		}
		if tag.Op != OpSnapshot && entry.CheckName(tag.Name) != nil {
			t.Errorf("%q has the name %q", text, tag.Name)
		}
		if at := entry.NewTime(tag.Time().Time); at.UnixMilli() != tag.Millis {
			t.Errorf("%q is at %s", text, at)
		}
	})
}

// Whatever a registry serves, reading it does not panic; and what is accepted
// can be written again, and then reads the same.
func FuzzUnpack(f *testing.F) {
	// Small seeds: the fuzzer spends its time on making large ones smaller.
	d := digest.FromString("d").String()
	f.Add([]byte(`{"name":"a","image":{"reference":"r","digest":"`+d+`","mediaType":"a/b","size":1},"source":{"type":"Manual"},"publishedAt":"2026-03-01T10:00:00.000Z"}`), true)
	f.Add([]byte(`{"name":"a","removedAt":"2026-03-01T10:00:00.000Z","revision":"`+d+`"}`), true)
	f.Add([]byte(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","artifactType":"application/vnd.caib.catalog.entry.v2+json"}`), false)
	f.Add([]byte(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","artifactType":"`+MediaTypeEntry+`","layers":[{"data":"e30="}]}`), false)
	f.Fuzz(func(t *testing.T, text []byte, wrap bool) {
		for _, op := range []Op{OpPublish, OpRemove} {
			tag, manifest := NewTag("autosd", sampleTime, op, digest.FromBytes(text)), text
			if wrap {
				name, at := claims(text)
				tag, manifest = sealed(t, op, name, at, text)
			}
			revision, err := Unpack(tag, manifest)
			if err != nil {
				if !errors.Is(err, entry.ErrMalformed) {
					t.Errorf("%v is no ErrMalformed", err)
				}
				continue
			}
			checkAccepted(t, revision)
		}
	})
}

// claims returns the name and time that a document gives itself, so that its
// tag can be right.
func claims(text []byte) (string, entry.Time) {
	var claimed struct {
		Name                   string
		PublishedAt, RemovedAt entry.Time
	}
	if json.Unmarshal(text, &claimed) != nil || entry.CheckName(claimed.Name) != nil {
		return "autosd", sampleTime
	}
	if claimed.PublishedAt.IsZero() {
		return claimed.Name, claimed.RemovedAt
	}
	return claimed.Name, claimed.PublishedAt
}

func checkAccepted(t *testing.T, revision *Revision) {
	t.Helper()
	var again *Packed
	var err error
	switch {
	case revision.Later != "":
		return
	case revision.Document != nil:
		revision.Item()
		again, err = Pack(revision.Document, Seen{})
	default:
		again, err = PackRemoval(revision.Removal, Seen{})
	}
	revision.Event()
	if err != nil {
		// The only thing that the schema allows and a tag cannot say.
		if at := revision.Tag.Time(); at.Before(time.UnixMilli(0)) || revision.Tag.Millis > 101559956668415 {
			return
		}
		t.Fatalf("accepted, but not written again: %v", err)
	}
	read := mustUnpack(t, again)
	if diff := cmp.Diff([]any{revision.Document, revision.Removal}, []any{read.Document, read.Removal}); diff != "" {
		t.Error(diff)
	}
}

// A rewrite says exactly what the new document says, keeps what the old one
// has beyond it, and does so again when it is repeated.
func FuzzRewrite(f *testing.F) {
	f.Add([]byte(`{"future":{"a":[1,{"b":false}]},"metadata":{"x":1,"distro":"old"},"labels":{"a":""}}`))
	f.Add([]byte(`{"metadata":{},"registry":{"platforms":[{"y":null},{"z":"\u2028"}]},"tags":[]}`))
	f.Add([]byte(`{"future":1e400}`))
	f.Fuzz(func(t *testing.T, old []byte) {
		document := fullDocument()
		packed, err := PackRewrite(document, old, Seen{})
		if err != nil {
			if !errors.Is(err, entry.ErrInvalid) {
				t.Errorf("%v is no ErrInvalid", err)
			}
			return
		}
		revision := mustUnpack(t, packed)
		if diff := cmp.Diff(document, revision.Document); diff != "" {
			t.Errorf("known fields:\n%s", diff)
		}
		var before, after map[string]any
		if json.Unmarshal(old, &before) != nil || json.Unmarshal(mustText(t, packed.Manifest), &after) != nil {
			return // a number that fits into no float64 of ours
		}
		for key := range before {
			if _, kept := after[key]; !kept {
				t.Errorf("%q is lost", key)
			}
		}
		again, err := PackRewrite(document, mustText(t, packed.Manifest), Seen{})
		if err != nil || !bytes.Equal(again.Manifest, packed.Manifest) {
			t.Errorf("rewriting it again changes it: %v", err)
		}
	})
}
