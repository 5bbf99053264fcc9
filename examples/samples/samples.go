// Package samples makes small but real OS images and pushes them to a
// registry: what automotive builds leave there, a few kilobytes instead of
// gigabytes. The demo and the end-to-end tests publish them.
package samples

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Pusher takes an image: a repository of package registry is one.
type Pusher interface {
	PushBlob(ctx context.Context, descriptor ocispec.Descriptor, content []byte) error
	PushManifest(ctx context.Context, descriptor ocispec.Descriptor, manifest []byte, reference string) error
}

// Build says what a sample is built for.
type Build struct {
	Distro        string
	Target        string
	Architectures []string // OCI terms
	Version       string   // also makes the content of two builds differ
	Created       time.Time
}

const (
	automotive = "automotive.sdv.cloud.redhat.com/"
	diskQcow2  = "application/vnd.automotive.disk.qcow2+gzip"
)

func (b Build) annotations(architecture string) map[string]string {
	return map[string]string{
		automotive + "distro":           b.Distro,
		automotive + "target":           b.Target,
		automotive + "arch":             architecture,
		ocispec.AnnotationCreated:       b.Created.UTC().Format(time.RFC3339),
		ocispec.AnnotationVersion:       b.Version,
		automotive + "builder-image":    "quay.io/centos-sig-automotive/automotive-image-builder:1.2",
		ocispec.AnnotationBaseImageName: "quay.io/centos-sig-automotive/autosd:10",
	}
}

// Bootc pushes a bootc container under a tag: an index where there are several
// architectures, else a single image. It returns the descriptor of what the
// tag names.
func Bootc(ctx context.Context, to Pusher, tag string, build Build) (ocispec.Descriptor, error) {
	var platforms []ocispec.Descriptor
	for _, architecture := range build.Architectures {
		reference := ""
		if len(build.Architectures) == 1 {
			reference = tag
		}
		d, err := bootcPlatform(ctx, to, reference, architecture, build)
		if err != nil {
			return ocispec.Descriptor{}, err
		}
		platforms = append(platforms, d)
	}
	if len(platforms) == 1 {
		return platforms[0], nil
	}
	return push(ctx, to, tag, ocispec.MediaTypeImageIndex, ocispec.Index{
		Versioned:   specs.Versioned{SchemaVersion: 2},
		MediaType:   ocispec.MediaTypeImageIndex,
		Manifests:   platforms,
		Annotations: map[string]string{automotive + "distro": build.Distro, automotive + "target": build.Target},
	})
}

func bootcPlatform(ctx context.Context, to Pusher, reference, architecture string, build Build) (ocispec.Descriptor, error) {
	release := fmt.Sprintf("NAME=%q\nVERSION_ID=%q\nARCHITECTURE=%q\n", build.Distro, build.Version, architecture)
	archive, err := tarball("usr/lib/os-release", release, build.Created)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	compressed, err := compress(archive)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	layer, err := pushBlob(ctx, to, ocispec.MediaTypeImageLayerGzip, compressed)
	if err != nil {
		return layer, err
	}
	platform := ocispec.Platform{Architecture: architecture, OS: "linux"}
	image := ocispec.Image{
		Created: &build.Created, Platform: platform,
		Config: ocispec.ImageConfig{Labels: map[string]string{"containers.bootc": "1", ocispec.AnnotationVersion: build.Version}},
		RootFS: ocispec.RootFS{Type: "layers", DiffIDs: []digest.Digest{digest.FromBytes(archive)}},
	}
	text, err := json.Marshal(image)
	if err != nil {
		return layer, err
	}
	config, err := pushBlob(ctx, to, ocispec.MediaTypeImageConfig, text)
	if err != nil {
		return config, err
	}
	d, err := push(ctx, to, reference, ocispec.MediaTypeImageManifest, ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		Config: config, Layers: []ocispec.Descriptor{layer}, Annotations: build.annotations(architecture),
	})
	d.Platform = &platform
	return d, err
}

// Disk pushes a disk image artifact under a tag: one qcow2 file, compressed.
func Disk(ctx context.Context, to Pusher, tag string, build Build) (ocispec.Descriptor, error) {
	disk := qcow2(build.Version)
	compressed, err := compress(disk)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	layer, err := pushBlob(ctx, to, diskQcow2, compressed)
	if err != nil {
		return layer, err
	}
	layer.Annotations = map[string]string{
		ocispec.AnnotationTitle:          "disk.qcow2.gz",
		automotive + "decompressed-size": fmt.Sprint(len(disk)),
	}
	empty := ocispec.DescriptorEmptyJSON
	if err := to.PushBlob(ctx, empty, empty.Data); err != nil {
		return empty, err
	}
	empty.Data = nil
	annotations := build.annotations(build.Architectures[0])
	annotations[automotive+"export-format"] = "qcow2"
	return push(ctx, to, tag, ocispec.MediaTypeImageManifest, ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		ArtifactType: diskQcow2, Config: empty, Layers: []ocispec.Descriptor{layer}, Annotations: annotations,
	})
}

// Store takes an image and what is attached to it.
type Store interface {
	Pusher
	Resolve(ctx context.Context, reference string) (ocispec.Descriptor, error)
	PushReferrer(ctx context.Context, descriptor ocispec.Descriptor, manifest []byte, subject ocispec.Descriptor) error
}

// Attach attaches one file to an image, such as the manifest that it was built
// from.
func Attach(ctx context.Context, to Store, image, artifactType, title string, content []byte) (ocispec.Descriptor, error) {
	subject, err := to.Resolve(ctx, image)
	if err != nil {
		return subject, err
	}
	file, err := pushBlob(ctx, to, artifactType, content)
	if err != nil {
		return file, err
	}
	file.Annotations = map[string]string{ocispec.AnnotationTitle: title}
	empty := ocispec.DescriptorEmptyJSON
	if err := to.PushBlob(ctx, empty, empty.Data); err != nil {
		return empty, err
	}
	empty.Data = nil
	text, err := json.Marshal(ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		ArtifactType: artifactType, Config: empty, Layers: []ocispec.Descriptor{file},
		Subject: &ocispec.Descriptor{MediaType: subject.MediaType, Digest: subject.Digest, Size: subject.Size},
	})
	if err != nil {
		return empty, err
	}
	d := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, ArtifactType: artifactType, Digest: digest.FromBytes(text), Size: int64(len(text))}
	return d, to.PushReferrer(ctx, d, text, subject)
}

func push(ctx context.Context, to Pusher, reference, mediaType string, manifest any) (ocispec.Descriptor, error) {
	text, err := json.Marshal(manifest)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	d := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(text), Size: int64(len(text))}
	if reference == "" {
		reference = d.Digest.String()
	}
	return d, to.PushManifest(ctx, d, text, reference)
}

func pushBlob(ctx context.Context, to Pusher, mediaType string, content []byte) (ocispec.Descriptor, error) {
	d := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(content), Size: int64(len(content))}
	return d, to.PushBlob(ctx, d, content)
}

func tarball(name, text string, at time.Time) ([]byte, error) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	header := &tar.Header{Name: name, Mode: 0o644, Size: int64(len(text)), ModTime: at.Truncate(time.Second), Format: tar.FormatPAX}
	if err := w.WriteHeader(header); err != nil {
		return nil, err
	}
	if _, err := w.Write([]byte(text)); err != nil {
		return nil, err
	}
	return b.Bytes(), w.Close()
}

func compress(content []byte) ([]byte, error) {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(content); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// qcow2 is an empty disk of 16 MiB in qcow2, version 3: header, refcount
// table, one refcount block, and an L1 table that maps nothing. The name
// stands in an unused header extension, so that two builds differ.
func qcow2(name string) []byte {
	const (
		clusterBits = 16
		cluster     = 1 << clusterBits
		virtualSize = 16 << 20
	)
	image := make([]byte, 4*cluster)
	be := binary.BigEndian
	copy(image, "QFI\xfb")
	be.PutUint32(image[4:], 3)
	be.PutUint32(image[20:], clusterBits)
	be.PutUint64(image[24:], virtualSize)
	be.PutUint32(image[36:], 1)           // L1 entries
	be.PutUint64(image[40:], 3*cluster)   // L1 table
	be.PutUint64(image[48:], 1*cluster)   // refcount table
	be.PutUint32(image[56:], 1)           // its clusters
	be.PutUint32(image[96:], 4)           // refcount order: 16 bits
	be.PutUint32(image[100:], 104)        // header length
	be.PutUint32(image[104:], 0x63616962) // extension
	be.PutUint32(image[108:], uint32(len(name)))
	copy(image[112:], name)
	be.PutUint64(image[cluster:], 2*cluster)
	for i := range 4 {
		be.PutUint16(image[2*cluster+2*i:], 1)
	}
	return image
}
