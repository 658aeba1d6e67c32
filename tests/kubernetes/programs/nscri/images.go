package main

import (
	"context"
	"path"
	"sort"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// An image is no more than the command that a container of it runs by default. All of them share one
// root: the machine's own files with agnhost laid over.
type image struct{ entrypoint, cmd []string }

var known = map[string]image{
	"agnhost": {[]string{"/agnhost"}, []string{"pause"}},
	"pause":   {[]string{"/agnhost", "pause"}, nil},
	"busybox": {nil, []string{"sh"}},
}

// imageName reduces "somewhere/e2e-test-images/agnhost:2.57@sha256:…" to "agnhost".
func imageName(ref string) string {
	name := path.Base(ref)
	name, _, _ = strings.Cut(name, "@")
	name, _, _ = strings.Cut(name, ":")
	return name
}

func imageInfo(name string) *cri.Image {
	return &cri.Image{Id: "sha256:" + name, RepoTags: []string{name}, RepoDigests: []string{name + "@sha256:" + name}, Size: 1, Uid: &cri.Int64Value{Value: 0}}
}

type images struct {
	cri.UnimplementedImageServiceServer
}

func (images) ListImages(context.Context, *cri.ListImagesRequest) (*cri.ListImagesResponse, error) {
	r := &cri.ListImagesResponse{}
	for name := range known {
		r.Images = append(r.Images, imageInfo(name))
	}
	sort.Slice(r.Images, func(i, j int) bool { return r.Images[i].Id < r.Images[j].Id })
	return r, nil
}

func (images) ImageStatus(_ context.Context, q *cri.ImageStatusRequest) (*cri.ImageStatusResponse, error) {
	name := strings.TrimPrefix(imageName(q.GetImage().GetImage()), "sha256:")
	if _, ok := known[name]; !ok {
		// The kubelet asks by id too; an id's base name is the image's name.
		if id, found := strings.CutPrefix(q.GetImage().GetImage(), "sha256:"); found {
			name = id
		}
	}
	if _, ok := known[name]; !ok {
		return &cri.ImageStatusResponse{}, nil
	}
	return &cri.ImageStatusResponse{Image: imageInfo(name)}, nil
}

func (images) PullImage(_ context.Context, q *cri.PullImageRequest) (*cri.PullImageResponse, error) {
	name := imageName(q.GetImage().GetImage())
	if _, ok := known[name]; !ok {
		return nil, status.Errorf(codes.NotFound, "no stand-in for image %q", q.GetImage().GetImage())
	}
	return &cri.PullImageResponse{ImageRef: "sha256:" + name}, nil
}

func (images) RemoveImage(context.Context, *cri.RemoveImageRequest) (*cri.RemoveImageResponse, error) {
	return &cri.RemoveImageResponse{}, nil
}

func (images) ImageFsInfo(context.Context, *cri.ImageFsInfoRequest) (*cri.ImageFsInfoResponse, error) {
	fs := []*cri.FilesystemUsage{{
		Timestamp:  time.Now().UnixNano(),
		FsId:       &cri.FilesystemIdentifier{Mountpoint: "/"},
		UsedBytes:  &cri.UInt64Value{Value: 1},
		InodesUsed: &cri.UInt64Value{Value: 1},
	}}
	return &cri.ImageFsInfoResponse{ImageFilesystems: fs, ContainerFilesystems: fs}, nil
}
