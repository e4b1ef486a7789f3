//! Dockerfiles and build contexts, judged by the rules of images.
