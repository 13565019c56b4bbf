# Reads what a document links to and the paths that it names, and fails on one that the repository does not have.
#   cmake -D ROOT=<repository> -D "DOCUMENTS=<files below it>" -P named_paths.cmake
# A path is known by where it begins: at one of the repository's folders, or, in backticks, at one of the headers'. Where NAME stands
# for a name, the folder around it has to be there.

set(folders "bench|cmake|examples|include|src|tests")
set(header_folders "core|tensor|rope|cache|inject|model|project|experiment")

function(report document path)
  message(NOTICE "${document}: names ${path}, which does not exist")
  set_property(GLOBAL APPEND PROPERTY missing "${path}")
endfunction()

function(check document path below)
  string(REGEX REPLACE "#.*" "" existing "${path}")
  string(REGEX REPLACE "[^/]*NAME.*" "" existing "${existing}")
  if(NOT EXISTS "${below}/${existing}")
    report("${document}" "${path}")
  endif()
endfunction()

foreach(document IN LISTS DOCUMENTS)
  file(READ "${ROOT}/${document}" text)
  string(REPLACE ";" " " text "${text}") # lists are cut there
  string(REGEX REPLACE "https?://[^ )>]*" "" text "${text}")
  get_filename_component(beside "${ROOT}/${document}" DIRECTORY)

  string(REGEX MATCHALL "\\]\\([^)#][^)]*\\)" links "${text}")
  string(REPLACE "](" "" links "${links}")
  string(REPLACE ")" "" links "${links}")
  foreach(link IN LISTS links)
    check("${document}" "${link}" "${beside}")
  endforeach()

  string(REGEX MATCHALL "[ `\n](${folders})/[A-Za-z0-9_./-]*[A-Za-z0-9_/]" named "${text}")
  foreach(path IN LISTS named)
    string(SUBSTRING "${path}" 1 -1 path)
    check("${document}" "${path}" "${ROOT}")
  endforeach()

  string(REGEX MATCHALL "`(${header_folders})/[A-Za-z0-9_./-]*[A-Za-z0-9_/]" named "${text}")
  foreach(path IN LISTS named)
    string(SUBSTRING "${path}" 1 -1 path)
    check("${document}" "${path}" "${ROOT}/include/kvtransfer")
  endforeach()
endforeach()

get_property(missing GLOBAL PROPERTY missing)
if(missing)
  message(FATAL_ERROR "paths that do not exist: ${missing}")
endif()
