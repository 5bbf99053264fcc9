// Package imagebuild reads ImageBuild objects of the automotive build operator
// (group automotive.sdv.cloud.redhat.com, version v1alpha1) as kubectl prints
// them, and tells what there is to publish:
//
//	builds, err := imagebuild.Parse(text, "build.yaml")
//	for _, build := range builds {
//		image, options, err := catalog.FromBuild(build, catalog.PublishOptions{})
//		…
//		result, err := c.Publish(ctx, image, options)
//	}
//
// YAML and JSON, one object, a List, or several documents. Files are other
// people's: every error names the place in the file and is an
// entry.ErrInvalid.
package imagebuild
