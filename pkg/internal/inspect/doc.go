// Package inspect reads an image where it is stored and says what it is:
// digest, media type, sizes, layers, platforms, what its builder wrote into
// annotations and labels, and what is attached to it. It reads manifests and
// configs; of layers it only makes sure that they are there.
//
//	image, err := inspect.Inspect(ctx, repository, ref)
//	fmt.Println(image.Descriptor.Digest, image.Observed.SizeBytes)
//
// Images are other people's: everything is bounded, checked against its
// digest and size, and text that no entry may have is dropped and
// reported.
package inspect
