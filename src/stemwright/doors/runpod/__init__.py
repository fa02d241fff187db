"""The door of the serverless pipeline: a handler for RunPod, and the job API of its web app."""
