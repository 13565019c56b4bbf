# Reads the includes of every header and fails on an arrow that goes back, on another folder's detail, on torch/torch.h where it is
# not allowed, on a header that has outgrown one idea, and on an umbrella that lacks a public header or lists a private one.
#   cmake -D INCLUDE_DIR=<folder that holds kvtransfer/> -P include_order.cmake

# A folder may include itself and those to its left.
set(order core tensor rope cache inject model project experiment)

# torch/torch.h takes 15 s to compile. Only what trains a model needs its optimisers and modules.
set(may_include_all_of_torch "^(model|project|experiment)/(.*/)?train[a-z_]*\\.hpp$")

set(most_lines 400)

function(report header complaint)
  message(NOTICE "include/kvtransfer/${header}: ${complaint}") # an error would be broken into lines of its own
  set_property(GLOBAL APPEND PROPERTY complaints "${header}")
endfunction()

function(check_arrow header from included)
  string(REGEX REPLACE "/.*" "" to "${included}")
  string(REGEX REPLACE "(^|/)detail/.*" "/" owner "${included}") # whose detail it is; itself where it is public
  string(FIND "${header}" "${owner}" within)
  list(FIND order "${from}" from_rank)
  list(FIND order "${to}" to_rank)
  if(to_rank EQUAL -1)
    report("${header}" "includes kvtransfer/${included}, which lies in none of: ${order}")
  elseif(to_rank GREATER from_rank)
    report("${header}" "includes kvtransfer/${included}, but ${from} may not know ${to}")
  elseif(NOT owner STREQUAL included AND NOT within EQUAL 0)
    report("${header}" "includes kvtransfer/${included}, which is private to ${owner}")
  elseif(NOT EXISTS "${INCLUDE_DIR}/kvtransfer/${included}")
    report("${header}" "includes kvtransfer/${included}, which does not exist")
  endif()
endfunction()

function(check_header header)
  string(REGEX REPLACE "/.*" "" folder "${header}")
  if(NOT folder IN_LIST order)
    report("${header}" "lies in none of: ${order}")
    return()
  endif()
  file(STRINGS "${INCLUDE_DIR}/kvtransfer/${header}" includes REGEX "^ *# *include")
  foreach(include IN LISTS includes)
    if(include MATCHES "[<\"]kvtransfer/([^\">]+)[\">]")
      check_arrow("${header}" "${folder}" "${CMAKE_MATCH_1}")
    elseif(NOT header MATCHES "${may_include_all_of_torch}" AND include MATCHES "[<\"]((torch/torch|torch/all|ATen/ATen)\\.h)[\">]")
      report("${header}" "includes ${CMAKE_MATCH_1}; include the narrow ATen/ops/*.h that it uses")
    endif()
  endforeach()
  file(READ "${INCLUDE_DIR}/kvtransfer/${header}" text)
  string(REGEX MATCHALL "\n" newlines "${text}")
  list(LENGTH newlines lines)
  if(lines GREATER most_lines)
    report("${header}" "has ${lines} lines; past ${most_lines} it wants splitting")
  endif()
endfunction()

# The umbrella lists the public headers of kvtransfer::kvtransfer, and nothing else.
function(check_umbrella)
  set(expected "${ARGN}")
  list(FILTER expected INCLUDE REGEX "^(core|tensor|rope|cache|inject)/")
  list(FILTER expected EXCLUDE REGEX "/detail/")
  if(NOT EXISTS "${INCLUDE_DIR}/kvtransfer/kvtransfer.hpp")
    report("kvtransfer.hpp" "does not exist")
    return()
  endif()
  file(STRINGS "${INCLUDE_DIR}/kvtransfer/kvtransfer.hpp" included REGEX "^#include")
  list(TRANSFORM included REPLACE "^#include \"kvtransfer/(.*)\"$" "\\1")
  foreach(header IN LISTS expected)
    if(NOT header IN_LIST included)
      report("kvtransfer.hpp" "lacks ${header}")
    endif()
  endforeach()
  foreach(header IN LISTS included)
    if(NOT header IN_LIST expected)
      report("kvtransfer.hpp" "includes ${header}, which is not a public header of kvtransfer::kvtransfer")
    endif()
  endforeach()
endfunction()

file(GLOB_RECURSE headers RELATIVE "${INCLUDE_DIR}/kvtransfer" "${INCLUDE_DIR}/kvtransfer/*.hpp")
if(NOT headers)
  message(FATAL_ERROR "no headers below ${INCLUDE_DIR}/kvtransfer")
endif()
list(REMOVE_ITEM headers kvtransfer.hpp) # the umbrella lies above all folders
foreach(header IN LISTS headers)
  check_header("${header}")
endforeach()
check_umbrella(${headers})

get_property(complaints GLOBAL PROPERTY complaints)
if(complaints)
  list(LENGTH complaints count)
  message(FATAL_ERROR "${count} complaints about the include tree")
endif()
