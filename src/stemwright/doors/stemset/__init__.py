"""The door of Stemset: profiles, the folder `media`, uploads, and remote workers."""
