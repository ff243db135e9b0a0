module example.com/post/scale

go 1.26
