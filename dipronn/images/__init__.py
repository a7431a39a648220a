"""What users upload, judged by content: bundles, kernels, disks.

Pure but for reading the one file in question; shared by who takes them in and who runs them. Nothing is
unpacked, mounted, or handed to a program that finds out by itself what it might be.
"""
