// Package archive keeps a repository in one file: a tar of an OCI image layout that
// is written once, from the beginning to the end, and read at random (SPEC section
// 22). skopeo, podman, buildah and oras read it too.
//
//	err := archive.Create("backup.tar.zst", false, archive.Options{Catalog: name}, func(w *archive.Writer) error {
//		return copyTo(w) // a registry.Repository
//	})
//
//	r, err := archive.OpenFile(ctx, "backup.tar.zst") // nil only if every byte is right
//	defer r.Close()
//	… // a registry.Repository too
//
// Glossary:
//
//	contents  the last member but one: what the archive holds, each with size and digest
//	end       the last member: the descriptor of the contents
//	base      the archive that an increment goes on from
//
// The contents determine every byte before them: members have one encoding, and
// stand in the order of the contents. So whatever was altered, cut or put in is
// noticed by comparing, and nothing of a tar's many forms is ever interpreted.
package archive
